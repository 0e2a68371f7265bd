"""Selection and augmentation of training crops."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from tasks.refine.residual.config import NetworkConfig, TrainResidual
from tasks.refine.training.crops import Batch, batches, read_round
from tasks.refine.training.pairs.pair import Pair
from tests.support.handmade_pairs import HandmadePairs, a_pair, pairs_of
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, noise

CONFIG = TrainResidual(batch=2, crop=16, crops=3, network=NetworkConfig(widths=(4, 4)))


class Watched(HandmadePairs):
    """Notes which pairs are read."""

    read: list[int] = []  # noqa: RUF012

    def __getitem__(self, index: int) -> Pair:
        self.read.append(index)
        return self.pairs[index]


def tensors_of(batch: Batch) -> list[torch.Tensor]:
    features, truth = batch.features, batch.truth
    return [
        features.pictures,
        features.valid,
        features.maps,
        truth.target,
        truth.counts,
        truth.before,
    ]


def test_a_step_has_the_same_crops_wherever_training_started() -> None:
    pairs = pairs_of(3)

    whole = list(islice(batches(pairs, CONFIG), 8))

    for start in (1, 3, 5):
        rest = list(islice(batches(pairs, CONFIG, start=start), 8 - start))
        for found, expected in zip(rest, whole[start:], strict=True):
            for one, other in zip(tensors_of(found), tensors_of(expected), strict=True):
                assert torch.equal(one, other)


def test_different_steps_and_seeds_give_different_crops() -> None:
    pairs = pairs_of(3)
    first, second = islice(batches(pairs, CONFIG), 2)
    (other,) = islice(batches(pairs, CONFIG.model_copy(update={"seed": 1})), 1)
    assert not torch.equal(first.truth.target, second.truth.target)
    assert not torch.equal(first.truth.target, other.truth.target)


def test_every_pair_is_used_once_before_any_is_used_again() -> None:
    made = pairs_of(5)
    pairs = Watched(pairs=made.pairs, scenes=made.scenes)
    pairs.read.clear()

    for number in range(10):
        read_round(pairs, CONFIG, number)

    for lap in range(4):
        assert Counter(pairs.read[5 * lap : 5 * lap + 5]) == Counter(range(5))


def test_augmentation_changes_pictures_and_target_alike() -> None:
    truth = noise(1, HEIGHT, WIDTH, 3)
    views = a_batch(
        render=truth,
        warped=truth,
        swept=truth[:, None].expand(-1, 3, -1, -1, -1).clone(),
        confidence=torch.zeros(1, HEIGHT, WIDTH),  # nothing to align colours to
        warped_valid=torch.ones(1, HEIGHT, WIDTH),
    )
    pair = Pair(views=views, target=truth[0], counts=torch.ones(HEIGHT, WIDTH))

    for batch in read_round(HandmadePairs(pairs=[pair], scenes=["s"]), CONFIG, 0):
        shown = batch.truth.target[:, None].expand_as(batch.features.pictures)
        np.testing.assert_allclose(batch.features.pictures, shown, atol=2e-5)
        assert batch.truth.target.min() >= 0
        assert batch.truth.target.max() <= 1


def test_maps_pictures_and_counts_are_cropped_at_the_same_place() -> None:
    """A pattern that stands in all of them is found again at the same pixels."""
    pattern = noise(HEIGHT, WIDTH).round()
    pair = a_pair(confidence=pattern[None], warped_valid=pattern[None])
    grey = pattern[..., None].expand(-1, -1, 3)
    pair = replace(pair, counts=pattern, target=0.25 + 0.5 * grey)

    for batch in read_round(HandmadePairs(pairs=[pair], scenes=["s"]), CONFIG, 0):
        found = batch.truth.counts
        np.testing.assert_array_equal(batch.features.maps[:, 0], 2 * found - 1)
        np.testing.assert_array_equal(batch.features.valid[:, 0], found)
        low, high = (batch.truth.target.permute(0, 2, 3, 1)[found == one] for one in (0, 1))
        assert low.amax(0).lt(high.amin(0)).any()


def test_views_smaller_than_a_crop_are_padded_with_uncounted_pixels() -> None:
    config = CONFIG.model_copy(update={"crop": 48})

    for batch in read_round(pairs_of(2), config, 0):
        assert batch.features.pictures.shape == (2, 6, 3, 48, 48)
        assert batch.truth.counts.sum((1, 2)).tolist() == [40 * 48, 40 * 48]


def test_the_initial_error_is_that_of_reproject_over_the_whole_view() -> None:
    pair = a_pair()
    still = replace(pair, views=replace(pair.views, swept_valid=0 * pair.views.swept_valid))

    (batch, *_) = read_round(HandmadePairs(pairs=[still], scenes=["s"]), CONFIG, 0)

    # No two photos see a pixel, so the classical repair is the render; contrast scales both.
    expected = float((pair.views.render[0] - pair.target).square().mean())
    assert 0.4 * expected < float(batch.truth.before[0]) <= expected


def test_a_read_error_is_raised_by_the_step_that_needs_the_pair() -> None:
    class Broken(HandmadePairs):
        def __getitem__(self, index: int) -> Pair:
            raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        next(batches(Broken(pairs=[a_pair()], scenes=["s"]), CONFIG))
