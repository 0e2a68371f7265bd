"""Training of a refiner: improvement, end, and resume."""

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from storage.checkpoints import Checkpoint
from storage.store import Store
from tasks.errors import DivergedError, InputError
from tasks.refine.photos.reproject import reproject
from tasks.refine.residual.config import NetworkConfig, TrainResidual
from tasks.refine.residual.train import residual_recipe
from tasks.refine.training.config import Minutes, Steps
from tasks.refine.training.loop import Trained, schedule, spread, train_network
from tasks.refine.training.pairs.pair import Pair
from tasks.refine.training.scores import ViewScore, validation_scores
from tasks.runtime.checkpoints import StoredCheckpoints
from tasks.runtime.context import Context
from tests.support.cut_off import cut_off
from tests.support.handmade_pairs import HandmadePairs, a_pair, pairs_of

NETWORK = NetworkConfig(widths=(8, 12))
SHORT = TrainResidual(
    network=NETWORK, length=Steps(count=25), batch=2, crop=16, crops=4, validations=5
)
NOTHING = HandmadePairs(pairs=[], scenes=[])


@pytest.mark.parametrize("precision", ["single", "bfloat16"])
def test_training_on_one_pair_exceeds_the_gain_of_reproject(
    precision: Literal["single", "bfloat16"],
) -> None:
    pair = HandmadePairs(
        pairs=[a_pair(surface_error=torch.full((1, 40, 56), 0.01))], scenes=["room"]
    )
    config = TrainResidual(
        network=NETWORK,
        length=Steps(count=120),
        batch=2,
        crop=32,
        crops=8,
        precision=precision,
        learning_rate=5e-3,
        averaging=0.9,
        validations=2,
    )

    trained = train_network(residual_recipe(config), pair, pair)

    total, room = trained.scores[-2:]
    assert (total.scene, room.scene) == ("", "room")
    assert total.gain_db == room.gain_db > reproject_gain_db(pair.pairs[0]) + 2
    assert total.gain_db > 3
    assert total.share_worse == 0
    assert trained.curve[-1].loss < 0.5 * trained.curve[0].loss
    assert {weights.dtype for weights in trained.network.state_dict().values()} == {torch.float32}


def reproject_gain_db(pair: Pair) -> float:
    """Written out: all pixels of the pair count."""
    views, photo = pair.views, pair.target.numpy()
    found = reproject(views, SHORT.features.reproject).image[0].numpy()
    errors = (np.mean((image - photo) ** 2) for image in (views.render[0].numpy(), found))
    return 10 * math.log10(next(errors) / next(errors))


def test_bfloat16_training_gives_a_similar_loss_and_other_weights() -> None:
    pairs = pairs_of(3)
    few = SHORT.model_copy(update={"precision": "bfloat16"})
    one, other = (train_network(residual_recipe(config), pairs, NOTHING) for config in (SHORT, few))
    assert other.curve[-1].loss == pytest.approx(one.curve[-1].loss, rel=0.1)
    assert one.curve != other.curve


def assert_same(found: Trained, expected: Trained) -> None:
    for (name, one), other in zip(
        found.network.state_dict().items(), expected.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert (found.curve, found.scores) == (expected.curve, expected.scores)


@pytest.fixture(scope="module")
def whole() -> Trained:
    return train_network(residual_recipe(SHORT), pairs_of(3), pairs_of(2))


@pytest.mark.parametrize("step", [1, 6, 21])
def test_a_resumed_training_gives_the_same_bits(tmp_path: Path, whole: Trained, step: int) -> None:
    place = Checkpoint(store=Store(root=str(tmp_path)), key="training")
    cut_off(
        lambda cut: train_network(
            residual_recipe(SHORT), pairs_of(3), pairs_of(2), context=Context(checkpoints=cut)
        ),
        place,
        step,
    )
    said: list[str] = []

    again = train_network(
        residual_recipe(SHORT),
        pairs_of(3),
        pairs_of(2),
        context=Context(
            checkpoints=StoredCheckpoints(place=place, seconds=1000.0),
            progress=lambda share, doing: said.append(doing),
        ),
    )

    assert said[0] == f"resumed at iteration {step}"
    assert_same(again, whole)


def test_training_is_reproducible_and_depends_on_the_seed(whole: Trained) -> None:
    assert_same(train_network(residual_recipe(SHORT), pairs_of(3), pairs_of(2)), whole)
    other = train_network(
        residual_recipe(SHORT.model_copy(update={"seed": 1})), pairs_of(3), NOTHING
    )
    assert not torch.equal(other.network.stem.weight, whole.network.stem.weight)


def test_validation_runs_as_often_as_configured_and_at_the_end(whole: Trained) -> None:
    assert [(one.step, one.scene, one.views) for one in whole.scores] == [
        (step, scene, views)
        for step in (5, 10, 15, 20, 25)
        for scene, views in (("", 2), ("scene_0", 1), ("scene_1", 1))
    ]
    assert whole.curve[-1].step == 25


def test_a_limit_in_minutes_ends_the_training() -> None:
    config = SHORT.model_copy(update={"length": Minutes(minutes=0.01)})

    started = time.monotonic()
    trained = train_network(residual_recipe(config), pairs_of(1), NOTHING)

    assert time.monotonic() - started >= 0.6
    assert trained.curve[-1].step >= 1
    assert trained.scores == ()


def test_training_without_pairs_is_refused() -> None:
    with pytest.raises(InputError, match="there are 0 pairs"):
        train_network(residual_recipe(SHORT), NOTHING, NOTHING)


def test_a_non_finite_loss_ends_the_training_and_discards_its_checkpoint(tmp_path: Path) -> None:
    pair = a_pair()
    pair.target[5:9] = math.nan
    place = Checkpoint(store=Store(root=str(tmp_path)), key="training")
    kept = StoredCheckpoints(place=place, seconds=0.0)
    pairs = HandmadePairs(pairs=[pair], scenes=["s"])

    with pytest.raises(DivergedError, match=r"smaller learning_rate than 0\.001"):
        train_network(residual_recipe(SHORT), pairs, NOTHING, context=Context(checkpoints=kept))

    assert place.load() is None


def test_the_learning_rate_warms_up_and_decays() -> None:
    assert schedule(0.0, 0.1) == 0
    assert schedule(0.05, 0.1) == pytest.approx(0.5)
    assert schedule(0.1, 0.1) == pytest.approx(1)
    assert schedule(0.55, 0.1) == pytest.approx((1 + 0.01) / 2)
    assert schedule(1.0, 0.1) == pytest.approx(0.01)
    rates = [schedule(share, 0.0) for share in np.linspace(0, 1, 50)]
    assert all(later < sooner for sooner, later in pairwise(rates))


@pytest.mark.parametrize(("count", "most"), [(0, 4), (3, 4), (4, 4), (100, 4), (7, 3)])
def test_validation_views_are_spread_evenly(count: int, most: int) -> None:
    found = spread(count, most)
    assert len(found) == len(set(found)) == min(count, most)
    assert all(0 <= index < count for index in found)
    gaps = np.diff([*found, count])
    assert not count or gaps.max() - gaps.min() <= 1


def test_scenes_have_equal_weight_and_worsened_views_are_counted() -> None:
    def one(scene: str, gain: float) -> ViewScore:
        return ViewScore(scene=scene, render_db=20.0, refined_db=20 + gain)

    views = [one("b", -1.0), one("a", 1.0), one("a", 2.0), one("a", 3.0)]
    joint, first, second = validation_scores(7, views)

    assert joint.gain_db == pytest.approx(0.5)
    assert joint.share_worse == pytest.approx(0.25)
    assert (joint.step, joint.scene, joint.views) == (7, "", 4)
    assert (first.scene, first.views, first.share_worse) == ("a", 3, 0)
    assert first.gain_db == pytest.approx(2)
    assert (second.scene, second.views, second.share_worse) == ("b", 1, 1)
    assert validation_scores(7, []) == []
