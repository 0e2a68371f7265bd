"""Distillation on a scene whose true views are closed forms, as perfect refined views."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.checkpoints import Checkpoint
from storage.store import Store
from tasks.cameras import Cameras
from tasks.distil.artefact import attributes_of
from tasks.distil.choose import Choice, choose
from tasks.distil.config import DistilConfig
from tasks.distil.distil import RefinedTarget, continue_fit, distil
from tasks.gaussians import Gaussians, joined
from tasks.runtime.checkpoints import StoredCheckpoints
from tasks.runtime.context import Context
from tasks.splat.artefact import arrays_of, read_gaussians
from tasks.splat.config import Default, SplatConfig, TrainOn
from tasks.splat.fit import SizedPhotos, fit, sized_photos
from tasks.splat.render import render
from tasks.splat.train.trainer import Fitted
from tasks.splat.training_photos import PosedPhotos
from tests.support.cut_off import cut_off
from tests.support.painted_plane import (
    DISTANCE,
    FOCAL,
    HEIGHT,
    WIDTH,
    paint,
    photograph,
)

SPLAT = SplatConfig(
    iterations=200, sh_every=100, densify=Default(start=50, every=50), sh_degree=1, seed=3
)
CONFIG = DistilConfig(iterations=100, probability=0.5, densify=False)
TRAINING, VALIDATION = (0, 7), (4,)
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
def scene() -> PosedPhotos:
    return photograph()


@pytest.fixture(scope="module")
def base(scene: PosedPhotos) -> Gaussians:
    split = TrainOn(photos=tuple(f"{index}.png" for index in TRAINING))
    return fit(scene, split, SPLAT).fitted.gaussians


def photos_of(scene: PosedPhotos, chosen: tuple[int, ...]) -> SizedPhotos:
    return sized_photos(scene.cameras, scene.photos, chosen, WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Both:
    control: Fitted
    distilled: Fitted
    choice: Choice


def continued(
    scene: PosedPhotos,
    base: Gaussians,
    refined: list[RefinedTarget],
    config: DistilConfig = CONFIG,
    validation: tuple[int, ...] = VALIDATION,
) -> Both:
    training = photos_of(scene, TRAINING)
    control = continue_fit(base, training, SPLAT, config.control)
    distilled = distil(base, training, refined, SPLAT, config)
    choice = choose(
        control.gaussians,
        distilled.gaussians,
        photos_of(scene, validation),
        training_photos=len(TRAINING),
    )
    return Both(control=control, distilled=distilled, choice=choice)


@pytest.fixture(scope="module")
def found(scene: PosedPhotos, base: Gaussians) -> Both:
    return continued(scene, base, targets())


@pytest.mark.parametrize("blend", [False, True])
def test_true_views_improve_the_splat_away_from_the_photos(
    scene: PosedPhotos, base: Gaussians, blend: bool
) -> None:
    config = CONFIG.model_copy(update={"confidence_blend": blend})
    found = continued(scene, base, targets(), config)
    assert found.choice.selected == "distilled"
    assert np.mean(found.choice.distilled_psnr_db) > np.mean(found.choice.control_psnr_db)
    for x in (-0.27, 0.17):
        assert error(found.distilled.gaussians, x) < 0.9 * error(found.control.gaussians, x)


def test_validation_photos_reject_distillation_from_bad_views(
    scene: PosedPhotos, base: Gaussians
) -> None:
    found = continued(scene, base, targets(noise_at))
    assert found.choice.selected == "control"
    assert found.choice.distilled_psnr_db[0] < found.choice.control_psnr_db[0]


def test_without_validation_photos_the_distilled_splat_is_selected(
    scene: PosedPhotos, base: Gaussians
) -> None:
    found = continued(scene, base, targets(noise_at), validation=())
    assert found.choice.selected == "distilled"
    assert found.choice.control_psnr_db == found.choice.distilled_psnr_db == ()


@pytest.mark.parametrize("which", ["control", "distilled"])
def test_progress_reaches_the_end(scene: PosedPhotos, base: Gaussians, which: str) -> None:
    shares: list[float] = []

    def note(share: float, doing: str) -> None:
        shares.append(share)

    if which == "control":
        continue_fit(
            base, photos_of(scene, TRAINING), SPLAT, CONFIG.control, context=Context(progress=note)
        )
    else:
        distil(
            base,
            photos_of(scene, TRAINING),
            targets(),
            SPLAT,
            CONFIG,
            context=Context(progress=note),
        )
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_without_refined_views_the_distilled_splat_equals_the_control(
    scene: PosedPhotos, base: Gaussians
) -> None:
    found = continued(scene, base, [])
    assert equal(found.control.gaussians, found.distilled.gaussians)


def test_control_and_distillation_take_equally_many_steps(found: Both) -> None:
    assert found.control.curve.iteration[-1] == found.distilled.curve.iteration[-1] == 100


@pytest.mark.parametrize("blend", [False, True])
def test_refined_pixels_of_weight_0_do_not_affect_distillation(
    scene: PosedPhotos, base: Gaussians, blend: bool
) -> None:
    config = CONFIG.model_copy(update={"confidence_blend": blend})
    one = continued(scene, base, targets(truth_at, weight=0.0), config)
    other = continued(scene, base, targets(noise_at, weight=0.0), config)
    assert equal(one.distilled.gaussians, other.distilled.gaussians)


def test_with_probability_0_the_distilled_splat_equals_the_control(
    scene: PosedPhotos, base: Gaussians
) -> None:
    found = continued(scene, base, targets(), CONFIG.model_copy(update={"probability": 0.0}))
    assert equal(found.control.gaussians, found.distilled.gaussians)
    assert found.choice.selected == "control"  # no better


def test_gaussians_are_densified_only_if_configured(
    scene: PosedPhotos, base: Gaussians, found: Both
) -> None:
    assert len(found.control.gaussians) == len(found.distilled.gaussians) == len(base)
    config = CONFIG.model_copy(update={"densify": True, "iterations": 120})
    growing = continued(scene, base, targets(), config)
    assert len(growing.control.gaussians) > len(base)
    assert len(growing.distilled.gaussians) > len(base)


@pytest.mark.parametrize("known", [False, True])
def test_floaters_before_the_near_depths_are_removed(
    scene: PosedPhotos, base: Gaussians, known: bool
) -> None:
    training = photos_of(scene, TRAINING)
    beside = torch.from_numpy(training.cameras.centres[:1]).float() + torch.tensor([0.0, 0.5, 0.0])
    fog = Gaussians(
        means=beside,
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        log_scales=torch.full((1, 3), -2.0),
        logit_opacities=torch.zeros(1),
        sh=torch.zeros(1, 4, 3),
    )
    near_depths = np.full(len(TRAINING), DISTANCE) if known else None

    control = continue_fit(
        joined([base, fog]), training, SPLAT, CONFIG.control, near_depths=near_depths
    )
    distilled = distil(
        joined([base, fog]), training, targets(), SPLAT, CONFIG, near_depths=near_depths
    )

    for found in (control, distilled):
        distance = (found.gaussians.means[base.num_background :] - beside).norm(dim=1)
        assert len(found.gaussians) == len(base) + (not known)
        assert (distance.min() < 0.1) == (not known)


def test_equal_input_gives_equal_bits(scene: PosedPhotos, base: Gaussians, found: Both) -> None:
    again = continued(scene, base, targets())
    assert equal(found.distilled.gaussians, again.distilled.gaussians)


def test_validation_scores_are_psnr_of_the_used_pixels(scene: PosedPhotos, base: Gaussians) -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[10:30, 5:50] = True
    validation = sized_photos(scene.cameras, scene.photos, VALIDATION, WIDTH, masks=[mask] * 8)
    (found,) = choose(base, base, validation, training_photos=2).control_psnr_db
    shown = render(base, scene.cameras, VALIDATION[0]).rgb.clamp(0, 1).double()
    squared = (shown.numpy() - scene.photos[VALIDATION[0]] / 255.0)[mask] ** 2
    assert found == pytest.approx(-10 * np.log10(squared.mean()), abs=1e-3)


def test_the_distilled_splat_and_the_choice_are_stored(tmp_path: Path, found: Both) -> None:
    attributes = attributes_of(
        found.distilled, found.choice, refined_views=len(PLACES), validation=["4.png"]
    )
    arrays = arrays_of(found.distilled)
    handle = Store(root=str(tmp_path)).commit("plane", "distilled", arrays, attributes)

    assert equal(read_gaussians(handle), found.distilled.gaussians)
    assert handle.attributes["selected"] == "distilled"
    assert handle.attributes["validation"] == [
        {
            "view": "4.png",
            "control_psnr_db": found.choice.control_psnr_db[0],
            "distilled_psnr_db": found.choice.distilled_psnr_db[0],
        }
    ]
    assert handle.attributes["refined_views"] == 6


@pytest.mark.parametrize("which", ["control", "distilled"])
@pytest.mark.parametrize("iteration", [30, 100])
def test_a_resumed_continuation_ends_with_the_same_bits(
    tmp_path: Path, scene: PosedPhotos, base: Gaussians, found: Both, which: str, iteration: int
) -> None:
    place = Checkpoint(store=Store(root=str(tmp_path)), key="one")
    told: list[str] = []

    def run(checkpoints: StoredCheckpoints) -> Fitted:
        def tell(share: float, doing: str) -> None:
            told.append(doing)

        training = photos_of(scene, TRAINING)
        context = Context(progress=tell, checkpoints=checkpoints)
        if which == "control":
            return continue_fit(base, training, SPLAT, CONFIG.control, context=context)
        return distil(base, training, targets(), SPLAT, CONFIG, context=context)

    cut_off(run, place, iteration)
    told.clear()
    again = run(StoredCheckpoints(place=place, seconds=1000.0))

    assert f"resumed at iteration {iteration}" in " ".join(told)
    whole: Fitted = getattr(found, which)
    assert equal(again.gaussians, whole.gaussians)
    np.testing.assert_array_equal(again.curve.loss, whole.curve.loss)
