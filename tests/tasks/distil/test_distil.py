"""Distillation on a scene whose true views are formulas, so that perfect refined views exist."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from painted_plane import DISTANCE, FOCAL, HEIGHT, WIDTH, Photographed, paint, photograph

from storage.arrays import Store
from storage.checkpoints import Checkpoint
from tasks.cameras import Cameras
from tasks.distil.artefact import arrays_of, attributes_of, read_gaussians
from tasks.distil.config import DistilConfig
from tasks.distil.distil import Distilled, RefinedTarget, distil
from tasks.gaussians import Gaussians
from tasks.splat.checkpoints import DescentState, StoredCheckpoints
from tasks.splat.config import Default, SplatConfig, TrainOn
from tasks.splat.fit import SizedPhotos, fit, sized_photos
from tasks.splat.render import render

SPLAT = SplatConfig(
    iterations=200, sh_every=100, densify=Default(start=50, every=50), sh_degree=1, seed=3
)
CONFIG = DistilConfig(iterations=100, probability=0.5, densify=False)
TRAINING, GUARD = (0, 7), (4,)
PLACES = (-0.35, -0.2, -0.05, 0.1, 0.25, 0.4)


def camera_at(x: float) -> Cameras:
    pose = np.eye(4)[None].copy()
    pose[0, 0, 3], pose[0, 2, 3] = -x, DISTANCE
    lens = np.array([[[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]]])
    return Cameras(
        names=(f"between {x}",),
        camera_from_world=pose,
        intrinsics=lens,
        sizes=np.array([[WIDTH, HEIGHT]], dtype=np.int64),
    )


def truth_at(x: float) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    at = (columns - WIDTH / 2) / FOCAL * DISTANCE + x, (rows - HEIGHT / 2) / FOCAL * DISTANCE
    return paint(*at).astype(np.float32)


def targets(image_at=truth_at, weight: float = 1.0) -> list[RefinedTarget]:  # type: ignore[no-untyped-def]
    return [
        RefinedTarget(
            camera=camera_at(x),
            image=image_at(x),
            weight=np.full((HEIGHT, WIDTH), weight, dtype=np.float32),
        )
        for x in PLACES
    ]


def noise_at(x: float) -> np.ndarray:
    generator = np.random.default_rng(int(100 * (x + 1)))
    return generator.random((HEIGHT, WIDTH, 3), dtype=np.float32)


def error(gaussians: Gaussians, x: float) -> float:
    return float((render(gaussians, camera_at(x), 0).rgb.numpy() - truth_at(x)).__abs__().mean())


def equal(one: Gaussians, other: Gaussians) -> bool:
    names = ("means", "quats", "log_scales", "logit_opacities", "sh")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture(scope="module")
def scene() -> Photographed:
    return photograph()


@pytest.fixture(scope="module")
def base(scene: Photographed) -> Gaussians:
    split = TrainOn(photos=tuple(f"{index}.png" for index in TRAINING))
    return fit(scene.cameras, scene.observations, scene.photos, split, SPLAT).fitted.gaussians


def photos_of(scene: Photographed, chosen: tuple[int, ...]) -> SizedPhotos:
    return sized_photos(scene.cameras, scene.photos, chosen, WIDTH)


def distilled(
    scene: Photographed,
    base: Gaussians,
    refined: list[RefinedTarget],
    config: DistilConfig = CONFIG,
    guard: tuple[int, ...] = GUARD,
) -> Distilled:
    training = photos_of(scene, TRAINING)
    return distil(base, training, photos_of(scene, guard), refined, SPLAT, config)


@pytest.fixture(scope="module")
def found(scene: Photographed, base: Gaussians) -> Distilled:
    return distilled(scene, base, targets())


@pytest.mark.parametrize("blend", [False, True])
def test_true_views_make_the_splat_better_where_no_photo_was(
    scene: Photographed, base: Gaussians, blend: bool
) -> None:
    config = CONFIG.model_copy(update={"confidence_blend": blend})
    found = distilled(scene, base, targets(), config)
    assert found.shipped == "distilled"
    assert np.mean(found.distilled_guard_psnr_db) > np.mean(found.control_guard_psnr_db)
    for x in (-0.27, 0.17):
        assert error(found.distilled.gaussians, x) < 0.9 * error(found.control.gaussians, x)


def test_the_guard_keeps_bad_views_out(scene: Photographed, base: Gaussians) -> None:
    found = distilled(scene, base, targets(noise_at))
    assert found.shipped == "control"
    assert found.distilled_guard_psnr_db[0] < found.control_guard_psnr_db[0]


def test_without_guard_photos_the_distilled_ships(scene: Photographed, base: Gaussians) -> None:
    found = distilled(scene, base, targets(noise_at), guard=())
    assert found.shipped == "distilled"
    assert found.control_guard_psnr_db == found.distilled_guard_psnr_db == ()


def test_without_refined_views_the_control_is_all_there_is(
    scene: Photographed, base: Gaussians
) -> None:
    found = distilled(scene, base, [], guard=())
    assert found.shipped == "control"
    assert equal(found.control.gaussians, found.distilled.gaussians)


def test_refined_views_and_guard_photos_do_not_touch_the_control(
    scene: Photographed, base: Gaussians, found: Distilled
) -> None:
    other = distilled(scene, base, targets(noise_at), guard=(3, 5))
    assert equal(found.control.gaussians, other.control.gaussians)
    assert found.control.curve.iteration[-1] == found.distilled.curve.iteration[-1] == 100


def test_guard_photos_change_neither_splat(
    scene: Photographed, base: Gaussians, found: Distilled
) -> None:
    other = distilled(scene, base, targets(), guard=())
    assert equal(found.distilled.gaussians, other.distilled.gaussians)


@pytest.mark.parametrize("blend", [False, True])
def test_pixels_without_trust_lend_nothing(
    scene: Photographed, base: Gaussians, blend: bool
) -> None:
    config = CONFIG.model_copy(update={"confidence_blend": blend})
    one = distilled(scene, base, targets(truth_at, weight=0.0), config)
    other = distilled(scene, base, targets(noise_at, weight=0.0), config)
    assert equal(one.distilled.gaussians, other.distilled.gaussians)


def test_with_probability_0_both_are_the_same(scene: Photographed, base: Gaussians) -> None:
    found = distilled(scene, base, targets(), CONFIG.model_copy(update={"probability": 0.0}))
    assert equal(found.control.gaussians, found.distilled.gaussians)
    assert found.shipped == "distilled"  # no worse


def test_gaussians_multiply_only_if_the_config_says_so(
    scene: Photographed, base: Gaussians, found: Distilled
) -> None:
    assert len(found.control.gaussians) == len(found.distilled.gaussians) == len(base)
    config = CONFIG.model_copy(update={"densify": True, "iterations": 120})
    growing = distilled(scene, base, targets(), config)
    assert len(growing.control.gaussians) > len(base)
    assert len(growing.distilled.gaussians) > len(base)


def test_equal_input_gives_equal_bits(
    scene: Photographed, base: Gaussians, found: Distilled
) -> None:
    again = distilled(scene, base, targets())
    assert equal(found.distilled.gaussians, again.distilled.gaussians)


def test_guard_scores_are_psnr_of_the_used_pixels(scene: Photographed, base: Gaussians) -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[10:30, 5:50] = True
    guard = sized_photos(scene.cameras, scene.photos, GUARD, WIDTH, masks=[mask] * 8)
    found = distil(base, photos_of(scene, TRAINING), guard, [], SPLAT, CONFIG)
    shown = render(found.control.gaussians, scene.cameras, GUARD[0]).rgb.clamp(0, 1).double()
    squared = (shown.numpy() - scene.photos[GUARD[0]] / 255.0)[mask] ** 2
    assert found.control_guard_psnr_db[0] == pytest.approx(-10 * np.log10(squared.mean()), abs=1e-3)


def test_the_store_gives_back_both_splats_and_the_choice(tmp_path: Path, found: Distilled) -> None:
    attributes = attributes_of(found, refined_views=len(PLACES), guard=["4.png"])
    handle = Store(root=str(tmp_path)).commit("plane", "distilled", arrays_of(found), attributes)

    assert equal(read_gaussians(handle, "control"), found.control.gaussians)
    assert equal(read_gaussians(handle, "distilled"), found.distilled.gaussians)
    assert equal(read_gaussians(handle, "shipped"), found.distilled.gaussians)
    assert handle.attributes["guard"][0]["view"] == "4.png"
    assert handle.attributes["refined_views"] == 6
    np.testing.assert_array_equal(handle.array("control_curve_loss"), found.control.curve.loss)


def test_progress_covers_both(scene: Photographed, base: Gaussians) -> None:
    shares: list[float] = []
    distil(
        base,
        photos_of(scene, TRAINING),
        photos_of(scene, ()),
        targets(),
        SPLAT,
        CONFIG,
        progress=lambda share, doing: shares.append(share),
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("which", "iteration"), [("control", 60), ("distilled", 30), ("distilled", 100)]
)
def test_either_continuation_goes_on_after_a_break_to_the_same_bits(
    tmp_path: Path,
    scene: Photographed,
    base: Gaussians,
    found: Distilled,
    which: str,
    iteration: int,
) -> None:
    class CutOffError(Exception):
        pass

    class Cut(StoredCheckpoints):
        def due(self) -> bool:
            return True

        def save(self, state: DescentState) -> None:
            super().save(state)
            if self.place.key == which and state.iteration == iteration:
                raise CutOffError

    def place(part: str) -> Checkpoint:
        return Checkpoint(store=Store(root=str(tmp_path)), key=part)

    def run(checkpoints: Callable[[str], StoredCheckpoints], what: list[str]) -> Distilled:
        return distil(
            base,
            photos_of(scene, TRAINING),
            photos_of(scene, GUARD),
            targets(),
            SPLAT,
            CONFIG,
            progress=lambda share, doing: what.append(doing),
            checkpoints=checkpoints,
        )

    with pytest.raises(CutOffError):
        run(lambda part: Cut(place=place(part), seconds=0.0), [])
    told: list[str] = []
    again = run(lambda part: StoredCheckpoints(place=place(part), seconds=1000.0), told)

    assert f"resumed at iteration {iteration}" in " ".join(told)
    assert equal(again.control.gaussians, found.control.gaussians)
    assert equal(again.distilled.gaussians, found.distilled.gaussians)
    np.testing.assert_array_equal(again.distilled.curve.loss, found.distilled.curve.loss)
