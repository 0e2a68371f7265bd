"""Pairs of a painted plane whose every colour is a formula."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.checkpoints import Checkpoint
from storage.store import Store
from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.gaussians import TENSORS, Gaussians
from tasks.refine.refiner import ViewBatch
from tasks.refine.training.pairs.config import PairsConfig
from tasks.refine.training.pairs.mine import Mined, fitted_splats, mine
from tasks.runtime.checkpoints import Checkpoints, State, StoredCheckpoints
from tasks.runtime.context import Context
from tasks.splat.config import SplatConfig, TrainOn
from tasks.splat.fit import fit
from tasks.splat.render import render
from tasks.splat.train.state import TrainState
from tasks.splat.training_photos import PosedPhotos
from tests.support.cut_off import cut_off
from tests.support.painted_plane import HEIGHT, WIDTH, photograph

ITERATIONS = 60
CONFIG = PairsConfig(
    subsets=1,
    sizes=(4,),
    runs=0.0,
    shares=(0.5, 1.0),
    noisy=1,
    views=3,
    splat=SplatConfig(iterations=ITERATIONS, max_size=WIDTH, sh_every=20),
)


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


@pytest.fixture(scope="module")
def mined(scene: PosedPhotos) -> Sequence[Mined]:
    return list(mine(scene, CONFIG))


def indices(scene: PosedPhotos, names: Iterable[str]) -> list[int]:
    return scene.cameras.indices_of(names)


def same(one: Gaussians, other: Gaussians) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in TENSORS)


def equal_views(one: ViewBatch, other: ViewBatch) -> bool:
    names = [field.name for field in fields(ViewBatch)]
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def plain_fit(
    scene: PosedPhotos, training: tuple[str, ...], context: Context = Context()
) -> Gaussians:
    """As the splat stage fits it, all photos at hand."""
    split = TrainOn(photos=training, validation=0)
    config = CONFIG.splat
    found = fit(scene, split, config, context=context)
    assert found.training == training
    return found.fitted.gaussians


def test_every_splat_is_rendered_at_withheld_photos(mined: Sequence[Mined]) -> None:
    assert [(one.iterations, one.noisy) for one in mined] == [
        *[(60, False)] * 3,
        *[(30, False)] * 3,
        *[(60, True)] * 3,
    ]
    for one in mined:
        assert len(one.training) == 4
        assert one.view not in one.training
        assert one.nearest in one.training
        assert 0.4 <= one.seen <= 1
        assert one.pair.views.swept.shape == (1, 3, HEIGHT, WIDTH, 3)


def test_withheld_photos_are_assigned_in_turn(mined: Sequence[Mined]) -> None:
    dealt = [one.view for one in mined]
    assert len(set(dealt[:4])) == 4  # 8 photos, 4 of them withheld
    assert dealt[:4] == dealt[4:8]


def test_the_target_of_a_pair_is_the_photo(scene: PosedPhotos, mined: Sequence[Mined]) -> None:
    for one in mined:
        photo = scene.photos[indices(scene, [one.view])[0]]
        np.testing.assert_allclose(one.pair.target.numpy(), photo / 255, atol=1e-6)
        assert bool((one.pair.counts == 1).all())
        shown = scene.photos[indices(scene, [one.nearest])[0]]
        np.testing.assert_allclose(one.pair.views.nearest[0].numpy(), shown / 255, atol=1e-6)


def test_the_render_of_a_pair_is_that_of_a_plain_fit_to_the_training_photos(
    scene: PosedPhotos, mined: Sequence[Mined]
) -> None:
    splat = plain_fit(scene, mined[0].training)
    for one in mined[:3]:
        index = indices(scene, [one.view])[0]
        seen = render(splat, scene.cameras, index).rgb.clamp(0, 1)
        assert torch.equal(one.pair.views.render[0], seen)


def test_noise_makes_a_splat_worse(scene: PosedPhotos, mined: Sequence[Mined]) -> None:
    def error(some: Sequence[Mined]) -> float:
        pairs = [one.pair for one in some]
        return float(np.mean([(p.views.render[0] - p.target).square().mean() for p in pairs]))

    assert error(mined[6:]) > 1.1 * error(mined[:3])


def test_snapshots_are_states_of_one_plain_fit(
    scene: PosedPhotos, mined: Sequence[Mined], tmp_path: Path
) -> None:
    training = mined[0].training
    snapshots = fitted_splats(scene.only(indices(scene, training)), CONFIG)
    assert list(snapshots) == [30, 60]
    assert same(snapshots[60], plain_fit(scene, training))
    place = Checkpoint(store=Store(root=str(tmp_path)), key="half")
    cut_off(
        lambda checkpoints: plain_fit(scene, training, Context(checkpoints=checkpoints)), place, 30
    )
    half = StoredCheckpoints(place=place, seconds=0.0).load(TrainState)
    assert half is not None
    front = snapshots[30].foreground
    assert torch.equal(front.means, half.parameters["means"])
    assert torch.equal(front.log_scales, half.parameters["scales"])
    assert torch.equal(front.sh[:, :1], half.parameters["sh0"])


def test_withheld_photos_contribute_only_their_poses(
    scene: PosedPhotos, mined: Sequence[Mined]
) -> None:
    training = indices(scene, mined[0].training)
    withheld = [index for index in range(len(scene.cameras)) if index not in training]
    generator = np.random.default_rng(0)
    photos = [
        generator.integers(0, 256, photo.shape, dtype=np.uint8) if index in withheld else photo
        for index, photo in enumerate(scene.photos)
    ]
    xy, pairs = scene.matches.xy.copy(), scene.matches.pairs.copy()
    theirs = np.isin(scene.matches.photo_index, withheld)
    xy[theirs] += generator.normal(0, 5, (theirs.sum(), 2)).astype(np.float32)
    involved = theirs[pairs].any(1)
    pairs[involved, 1] = generator.permutation(pairs[involved, 1])
    matches = replace(
        scene.matches, xy=xy, pairs=pairs[(~involved) | (generator.random(len(pairs)) < 0.5)]
    )
    altered = replace(scene, photos=photos, matches=matches)

    again = list(mine(altered, CONFIG))

    assert [one.view for one in again] == [one.view for one in mined]
    for ours, other in zip(mined, again, strict=True):
        assert equal_views(ours.pair.views, other.pair.views)
        assert not torch.equal(ours.pair.target, other.pair.target)


def test_equal_input_gives_equal_pairs_and_another_seed_other_pairs(
    scene: PosedPhotos, mined: Sequence[Mined]
) -> None:
    config = CONFIG.model_copy(update={"noisy": 0, "shares": (1.0,)})
    again = list(mine(scene, config))
    assert [one.view for one in again] == [one.view for one in mined[:3]]
    assert all(
        equal_views(one.pair.views, other.pair.views)
        for one, other in zip(again, mined[:3], strict=True)
    )
    other = next(iter(mine(scene, config, seed=1)))
    assert other.training != mined[0].training


def test_masked_pixels_of_a_withheld_photo_do_not_count(scene: PosedPhotos) -> None:
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:, :20] = False
    masked = replace(scene, masks=[mask] * len(scene.photos))
    one = next(iter(mine(masked, CONFIG)))
    np.testing.assert_array_equal(one.pair.counts.numpy(), mask.astype(np.float32))


def turned_away(cameras: Cameras, index: int) -> Cameras:
    """One camera turned about its vertical axis, so that it has the plane behind it."""
    poses = cameras.camera_from_world.copy()
    poses[index] = np.diag([-1.0, 1.0, -1.0, 1.0]) @ poses[index]
    return replace(cameras, camera_from_world=poses)


def test_photos_without_overlap_with_training_photos_are_left_out(
    scene: PosedPhotos, mined: Sequence[Mined]
) -> None:
    away = indices(scene, [mined[0].view])[0]
    found = list(mine(replace(scene, cameras=turned_away(scene.cameras, away)), CONFIG))
    assert found
    assert mined[0].view not in {one.view for one in found}


def test_photos_without_common_content_are_refused(scene: PosedPhotos) -> None:
    none = replace(scene.matches, pairs=np.zeros((0, 2), np.int32))
    with pytest.raises(InputError, match="none of 1 splats of 4 to 4 of the scene's 8 photos"):
        list(mine(replace(scene, matches=none), CONFIG))


def test_progress_reaches_the_end(scene: PosedPhotos) -> None:
    shares: list[float] = []
    config = CONFIG.model_copy(update={"subsets": 2})
    list(mine(scene, config, context=Context(progress=lambda share, doing: shares.append(share))))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_fits_of_different_subsets_share_no_checkpoint(scene: PosedPhotos) -> None:
    class Shared(Checkpoints):
        def load(self, kind: type[State]) -> State | None:
            raise AssertionError("a fit would resume from that of another subset")

        def due(self) -> bool:
            raise AssertionError("a fit would save over that of another subset")

    assert next(iter(mine(scene, CONFIG, context=Context(checkpoints=Shared()))))
