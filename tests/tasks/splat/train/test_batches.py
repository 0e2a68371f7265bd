"""Several photos in an iteration."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storage.checkpoints import Checkpoint
from storage.store import Store
from tasks.runtime.checkpoints import StoredCheckpoints
from tasks.runtime.context import Context
from tasks.splat.config import EveryNth, SplatConfig
from tasks.splat.fit import Splat, fit
from tasks.splat.train.batches import batches, photo_order
from tasks.splat.training_photos import PosedPhotos
from tests.support.cut_off import cut_off
from tests.support.painted_plane import held_out_psnr_db, photograph

sizes = st.lists(st.sampled_from([(4, 3), (3, 4), (5, 5)]), min_size=1, max_size=12)


@given(sizes=sizes, most=st.integers(1, 5), seed=st.integers(0, 9))
def test_a_batch_holds_different_photos_of_one_size(
    sizes: list[tuple[int, int]], most: int, seed: int
) -> None:
    for batch in islice(batches(sizes, most, seed), 20):
        (size,) = {sizes[photo] for photo in batch}
        assert len(batch) == min(most, sizes.count(size))


@given(sizes=sizes, most=st.integers(1, 5), seed=st.integers(0, 9))
def test_photos_come_equally_often(sizes: list[tuple[int, int]], most: int, seed: int) -> None:
    drawn = [photo for batch in islice(batches(sizes, most, seed), 200) for photo in batch]
    times = Counter(drawn)
    assert max(times.values()) - min(times[photo] for photo in range(len(sizes))) <= 2


@given(sizes=sizes, seed=st.integers(0, 9))
def test_batches_of_one_follow_the_photo_order(sizes: list[tuple[int, int]], seed: int) -> None:
    found = [photo for (photo,) in islice(batches(sizes, 1, seed), 30)]
    assert found == list(islice(photo_order(len(sizes), seed), 30))


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


def fitted(scene: PosedPhotos, config: SplatConfig, context: Context = Context()) -> Splat:
    return fit(scene, EveryNth(n=4), config, context=context)


def test_few_large_batches_match_many_small_ones(scene: PosedPhotos) -> None:
    small = fitted(scene, SplatConfig(iterations=240, sh_degree=1))
    large = fitted(scene, SplatConfig(iterations=80, sh_degree=1, batch=3))
    few = fitted(scene, SplatConfig(iterations=80, sh_degree=1))
    assert held_out_psnr_db(scene, large) > held_out_psnr_db(scene, small) - 3
    assert held_out_psnr_db(scene, large) > held_out_psnr_db(scene, few)


@pytest.mark.parametrize(
    "options", [{"batch": 4}, {"batch": 2, "sparse": True}], ids=["batch", "sparse"]
)
def test_a_resumed_batched_fit_ends_with_the_same_bits(
    scene: PosedPhotos, tmp_path: Path, options: dict[str, object]
) -> None:
    config = SplatConfig(iterations=60, sh_degree=1).model_copy(update=options)
    whole = fitted(scene, config).fitted.gaussians
    place = Checkpoint(store=Store(root=str(tmp_path)), key="splat-1")
    cut_off(lambda checkpoints: fitted(scene, config, Context(checkpoints=checkpoints)), place, 31)
    rest = StoredCheckpoints(place=place, seconds=1000.0)
    again = fitted(scene, config, Context(checkpoints=rest)).fitted.gaussians
    assert rest.note == "resumed at iteration 31"
    assert torch.equal(whole.means, again.means)
    assert torch.equal(whole.sh, again.sh)
