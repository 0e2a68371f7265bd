"""Refinement of views, and the refined artefact in the store."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from storage.store import Store
from tasks.cameras import Cameras
from tasks.depth.sweep import Swept
from tasks.refine.artefact import RefinedViews, write_refined
from tasks.refine.config import Mean, RefineConfig
from tasks.refine.ensemble import mean_refinement, refine_with
from tasks.refine.refiner import Refinement, ViewBatch, batch_of
from tasks.refine.select import refiner_for
from tasks.runtime.context import Context
from tasks.views.renderer import NovelView
from tasks.views.surface import Surface

PHOTOS = {
    "a.png": np.full((60, 80, 3), 40, np.uint8),
    "b.png": np.full((30, 40, 3), 200, np.uint8),
}


def a_view(seed: int, nearest: str, size: tuple[int, int] = (12, 16)) -> NovelView:
    """Every field is noise of its own."""
    random = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return random.random(shape, dtype=np.float32)

    return NovelView(
        camera=Cameras(
            names=(f"view_{seed}",),
            camera_from_world=np.eye(4)[None],
            intrinsics=np.eye(3)[None],
            sizes=np.array([size[::-1]], dtype=np.int64),
        ),
        rgb=noise(*size, 3),
        depth=noise(*size),
        alpha=noise(*size),
        confidence=noise(*size),
        nearest=nearest,
        warped=noise(*size, 3),
        warped_valid=noise(*size),
        sources=(nearest,),
        swept=Swept(
            depth=noise(*size),
            cost=noise(*size),
            warped=noise(2, *size, 3),
            valid=noise(2, *size),
        ),
        surface=Surface(gap=noise(*size), error=noise(*size)),
    )


def darken(views: ViewBatch) -> Refinement:
    return Refinement(image=views.render / 2, weight=views.confidence)


def test_a_batch_stacks_each_field_of_its_views() -> None:
    views = [a_view(0, "a.png"), a_view(1, "b.png")]

    batch = batch_of(views, [PHOTOS[view.nearest] for view in views])

    for index, view in enumerate(views):
        for field, expected in (
            (batch.render, view.rgb),
            (batch.depth, view.depth),
            (batch.alpha, view.alpha),
            (batch.confidence, view.confidence),
            (batch.warped, view.warped),
            (batch.warped_valid, view.warped_valid),
            (batch.swept_depth, view.swept.depth),
            (batch.swept_cost, view.swept.cost),
            (batch.swept, view.swept.warped),
            (batch.swept_valid, view.swept.valid),
            (batch.surface_gap, view.surface.gap),
            (batch.surface_error, view.surface.error),
        ):
            np.testing.assert_array_equal(field[index], expected)
    np.testing.assert_allclose(batch.nearest[0], 40 / 255)
    np.testing.assert_allclose(batch.nearest[1], 200 / 255)


def test_refined_views_are_read_back_unchanged(tmp_path: Path) -> None:
    views = [a_view(0, "a.png"), a_view(1, "b.png", size=(16, 12))]
    said: list[float] = []

    refine = refine_with(darken, PHOTOS.__getitem__)
    refined = ((view.camera.names[0], refine(view)) for view in views)
    context = Context(progress=lambda share, doing: said.append(share))
    with Store(root=str(tmp_path)).writer("s", "refined") as out:
        handle = out.commit(write_refined(out, refined, count=2, context=context))

    found = RefinedViews(handle)
    assert (len(found), found.names, said) == (2, ("view_0", "view_1"), [0.5, 1.0])
    assert found.rejected == ()
    for index, view in enumerate(views):
        np.testing.assert_allclose(found.image(index), view.rgb / 2, atol=0.5 / 255 + 1e-6)
        np.testing.assert_allclose(found.weight(index), view.confidence, atol=0.5 / 255 + 1e-6)


def test_rejected_views_are_named_in_the_attributes(tmp_path: Path) -> None:
    def reject_the_second(views: ViewBatch) -> Refinement:
        rejected = bool(torch.equal(views.render, batch_of([second], [PHOTOS["b.png"]]).render))
        return replace(darken(views), rejected=torch.tensor([rejected]))

    first, second = a_view(0, "a.png"), a_view(1, "b.png")
    refine = refine_with(reject_the_second, PHOTOS.__getitem__)
    refined = ((view.camera.names[0], refine(view)) for view in (first, second))
    with Store(root=str(tmp_path)).writer("s", "refined") as out:
        handle = out.commit(write_refined(out, refined, count=2, context=Context()))

    assert RefinedViews(handle).rejected == ("view_1",)


def test_all_tensors_of_a_batch_move_to_a_device() -> None:
    batch = batch_of([a_view(0, "a.png")], [PHOTOS["a.png"]])

    moved = batch.to(torch.device("meta"))

    assert moved.swept.shape == (1, 2, 12, 16, 3)
    assert {getattr(moved, name).device.type for name in type(moved).__slots__} == {"meta"}


def test_a_refined_view_is_the_mean_over_the_ensemble(tmp_path: Path) -> None:
    # Two siblings show other pictures from there; one of them beside another photo.
    others = [replace(a_view(2, "a.png"), rgb=a_view(2, "a.png").rgb / 4), a_view(3, "b.png")]
    looked_from: list[Cameras] = []

    def look(shown: NovelView, camera: Cameras) -> NovelView:
        looked_from.append(camera)
        return shown

    def add_the_photo(views: ViewBatch) -> Refinement:
        return Refinement(image=views.render + views.nearest, weight=views.alpha)

    view = a_view(0, "a.png")
    refine = refine_with(
        add_the_photo, PHOTOS.__getitem__, [partial(look, other) for other in others]
    )
    found = refine(view)

    shown = [view, *others]
    expected = np.mean([one.rgb + PHOTOS[one.nearest][0, 0, 0] / 255 for one in shown], 0)
    np.testing.assert_allclose(found.image[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.weight[0], np.mean([one.alpha for one in shown], 0), rtol=1e-5)
    assert found.rejected is None
    assert looked_from == [view.camera] * 2


def test_a_view_is_rejected_if_all_ensemble_refinements_are_rejected() -> None:
    image = torch.zeros(2, 3, 4, 3)
    each = [torch.tensor(rejected) for rejected in ([True, True], [False, True])]
    parts = [Refinement(image=image, weight=image[..., 0], rejected=one) for one in each]
    rejected = mean_refinement(parts).rejected
    assert rejected is not None
    assert rejected.tolist() == [False, True]


def test_without_a_refiner_a_view_is_the_mean_render_of_all_splats_at_full_weight() -> None:
    view, others = a_view(0, "a.png"), [a_view(1, "a.png"), a_view(2, "b.png")]
    refiner = refiner_for(RefineConfig(refiner=Mean()))
    renders = [lambda camera, other=other: other for other in others]

    found = refine_with(refiner, PHOTOS.__getitem__, renders)(view)

    expected = (view.rgb + others[0].rgb + others[1].rgb) / 3
    np.testing.assert_allclose(found.image[0].numpy(), expected, rtol=1e-6)
    assert bool((found.weight == 1).all())
    assert found.rejected is None
