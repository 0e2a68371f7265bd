"""The splat stage on a scene whose every colour and depth is a formula."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.store import Store
from tasks.gaussians import Gaussians
from tasks.metrics.images import psnr_db
from tasks.runtime.context import Context
from tasks.sfm.matches import Matches
from tasks.splat.artefact import arrays_of, attributes_of, near_depths_of
from tasks.splat.config import Default, EveryNth, SplatConfig, TrainOn
from tasks.splat.fit import Splat, fit
from tasks.splat.init.background import COUNT
from tasks.splat.render import render
from tasks.splat.training_photos import PosedPhotos
from tests.support.painted_plane import DISTANCE, HEIGHT, WIDTH, photograph

SPLIT = EveryNth(n=4, offset=1, validation=1)  # holds out photos 1 and 5, photo 4 is for validation
CONFIG = SplatConfig(
    iterations=300, sh_every=100, densify=Default(start=50, every=50), sh_degree=1, seed=3
)


def fitted(scene: PosedPhotos, config: SplatConfig = CONFIG) -> Splat:
    return fit(scene, SPLIT, config)


def tensors(gaussians: Gaussians) -> Sequence[torch.Tensor]:
    return (
        gaussians.means,
        gaussians.quats,
        gaussians.log_scales,
        gaussians.logit_opacities,
        gaussians.sh,
    )


def psnr_by_name(scene: PosedPhotos, splat: Splat) -> dict[str, float]:
    """Of the splat's views of all photos."""
    return {
        name: psnr_db(
            render(splat.fitted.gaussians, scene.cameras, index).rgb.numpy(),
            scene.photos[index] / np.float32(255),
        )
        for index, name in enumerate(scene.cameras.names)
    }


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


@pytest.fixture(scope="module")
def splat(scene: PosedPhotos) -> Splat:
    return fitted(scene)


def test_held_out_photos_are_predicted(scene: PosedPhotos, splat: Splat) -> None:
    assert splat.held_out == ("1.png", "5.png")
    scores = psnr_by_name(scene, splat)
    # A constant picture of the mean colour gives 12 dB.
    assert min(scores[name] for name in splat.held_out) > 25


def test_rendered_depth_matches_the_plane(scene: PosedPhotos, splat: Splat) -> None:
    seen = render(splat.fitted.gaussians, scene.cameras, 1, with_depth=True)
    assert seen.depth is not None
    middle = seen.depth[12:36, 16:48]
    assert float((middle - DISTANCE).abs().median()) < 0.05 * DISTANCE


def altered(matches: Matches, held_out: Sequence[int], how: str) -> Matches:
    """The matches, with those of the held-out photos changed."""
    generator = np.random.default_rng(0)
    theirs = np.isin(matches.photo_index, held_out)
    involved = theirs[matches.pairs].any(1)
    match how:
        case "moved":
            xy = matches.xy.copy()
            xy[theirs] += generator.normal(0, 5, (theirs.sum(), 2)).astype(np.float32)
            return replace(matches, xy=xy)
        case "dropped":
            return replace(matches, pairs=matches.pairs[~involved])
        case "linked to other points":
            pairs = matches.pairs.copy()
            pairs[involved, 1] = generator.permutation(pairs[involved, 1])
            return replace(matches, pairs=pairs)
        case "without keypoints":
            number = np.cumsum(~theirs) - 1
            return Matches(
                photo_index=matches.photo_index[~theirs],
                xy=matches.xy[~theirs],
                pairs=number[matches.pairs[~involved]].astype(np.int32),
            )
    raise AssertionError(how)


@pytest.mark.parametrize("how", ["moved", "dropped", "linked to other points", "without keypoints"])
def test_held_out_and_validation_photos_contribute_only_their_poses(
    scene: PosedPhotos, splat: Splat, how: str
) -> None:
    assert splat.validation == ("4.png",)
    held_out = [scene.cameras.names.index(name) for name in splat.held_out + splat.validation]
    generator = np.random.default_rng(0)
    photos = [
        generator.integers(0, 256, photo.shape, dtype=np.uint8) if index in held_out else photo
        for index, photo in enumerate(scene.photos)
    ]
    matches = altered(scene.matches, held_out, how)

    other = fit(replace(scene, matches=matches, photos=photos), SPLIT, CONFIG)

    for ours, theirs in zip(
        tensors(splat.fitted.gaussians), tensors(other.fitted.gaussians), strict=True
    ):
        assert torch.equal(ours, theirs)


def hidden_columns(scene: PosedPhotos, value: int) -> PosedPhotos:
    """The scene with its right third painted over and masked, and no points found there."""
    shown = scene.matches.xy[:, 0] < 2 * WIDTH // 3 - 1
    pairs = scene.matches.pairs
    matches = replace(scene.matches, pairs=pairs[shown[pairs].all(1)])
    photos = [photo.copy() for photo in scene.photos]
    for photo in photos:
        photo[:, 2 * WIDTH // 3 :] = value
    mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    mask[:, 2 * WIDTH // 3 :] = False
    return replace(scene, matches=matches, photos=photos, masks=[mask] * 8)


@pytest.mark.parametrize("half_size_share", [0.0, 0.5])
def test_masked_pixels_do_not_affect_the_fit(scene: PosedPhotos, half_size_share: float) -> None:
    config = CONFIG.model_copy(update={"iterations": 120, "half_size_share": half_size_share})
    first, second = (fit(hidden_columns(scene, value), SPLIT, config) for value in (0, 255))
    ours, theirs = first.fitted.gaussians, second.fitted.gaussians
    if half_size_share:  # the resampling filter reaches a pixel over the edge
        seen = render(ours, scene.cameras, 1).rgb - render(theirs, scene.cameras, 1).rgb
        assert float(seen[:, : WIDTH // 2].abs().mean()) < 0.02
    else:
        for one, other in zip(tensors(ours), tensors(theirs), strict=True):
            assert torch.equal(one, other)


def test_near_depths_are_stored_with_the_splat(tmp_path: Path, splat: Splat) -> None:
    handle = Store(root=str(tmp_path)).commit(
        "plane", "splat", arrays_of(splat.fitted), attributes_of(splat)
    )
    near_depths = near_depths_of(handle)
    assert near_depths is not None
    np.testing.assert_allclose(near_depths, np.full(len(splat.training), DISTANCE), rtol=1e-3)


def test_regularisation_reduces_opacities_and_scales(scene: PosedPhotos, splat: Splat) -> None:
    pulled = fitted(scene, CONFIG.model_copy(update={"opacity_weight": 0.1})).fitted.gaussians
    narrowed = fitted(scene, CONFIG.model_copy(update={"scale_weight": 1.0})).fitted.gaussians
    plain = splat.fitted.gaussians
    assert pulled.logit_opacities.sigmoid().mean() < 0.9 * plain.logit_opacities.sigmoid().mean()
    assert narrowed.log_scales.exp().mean() < 0.9 * plain.log_scales.exp().mean()


def test_equal_input_gives_equal_bits_and_keeps_torchs_global_generator(
    scene: PosedPhotos, splat: Splat
) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    again = fitted(scene)
    assert torch.equal(torch.get_rng_state(), before)
    for first, second in zip(
        tensors(splat.fitted.gaussians), tensors(again.fitted.gaussians), strict=True
    ):
        assert torch.equal(first, second)
    np.testing.assert_array_equal(splat.fitted.curve.loss, again.fitted.curve.loss)


def test_another_seed_gives_another_splat(scene: PosedPhotos, splat: Splat) -> None:
    other = fitted(scene, CONFIG.model_copy(update={"seed": 4}))
    first = slice(COUNT, COUNT + 5)
    assert not torch.equal(splat.fitted.gaussians.quats[first], other.fitted.gaussians.quats[first])


def test_the_loss_curve_ends_at_the_last_iteration_and_falls(splat: Splat) -> None:
    curve = splat.fitted.curve
    assert curve.iteration.tolist() == [50, 100, 150, 200, 250, 300]
    assert curve.gaussians[-1] == len(splat.fitted.gaussians.foreground)
    assert curve.loss[-1] < 0.5 * curve.loss[0]


def test_held_out_photos_are_scored_during_the_fit(scene: PosedPhotos, splat: Splat) -> None:
    scores = splat.fitted.curve.score
    known = psnr_by_name(scene, splat)
    expected = np.mean([known[name] for name in splat.held_out])
    assert scores[-1] == pytest.approx(expected, abs=0.05)  # unclamped there
    assert scores[0] < scores[-1]
    assert not np.isnan(scores).any()  # the 6 points are fewer than 10 parts


def test_held_out_photos_are_scored_at_most_ten_times(scene: PosedPhotos) -> None:
    config = SplatConfig(iterations=550, max_size=16, sh_degree=0)
    split = TrainOn(photos=("0.png", "7.png"))
    found = fit(scene, split, config)
    scored = found.fitted.curve.iteration[~np.isnan(found.fitted.curve.score)]
    assert scored.tolist() == list(range(100, 551, 50))


def test_without_held_out_photos_no_score_is_computed(scene: PosedPhotos) -> None:
    split = TrainOn(photos=scene.cameras.names, validation=0)
    config = SplatConfig(iterations=50, max_size=16, sh_degree=0)
    found = fit(scene, split, config)
    assert np.isnan(found.fitted.curve.score).all()


def test_progress_reaches_the_end(scene: PosedPhotos) -> None:
    shares: list[float] = []
    config = SplatConfig(iterations=70)
    fit(
        scene,
        TrainOn(photos=("0.png", "7.png")),
        config,
        context=Context(progress=lambda share, doing: shares.append(share)),
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.gpu
def test_held_out_photos_are_predicted_on_cuda(scene: PosedPhotos, splat: Splat) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    other = fit(scene, SPLIT, CONFIG, context=Context(device="cuda"))
    means = [np.mean(list(psnr_by_name(scene, one).values())) for one in (splat, other)]
    assert means[1] > means[0] - 1
