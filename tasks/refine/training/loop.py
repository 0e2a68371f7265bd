"""Training of a refiner's network: steps on crops of pairs, scored on the way."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from tasks.errors import DivergedError, InputError
from tasks.refine.refiner import Refinement, ViewBatch
from tasks.refine.training.config import Steps, TrainConfig
from tasks.refine.training.crops import Batch, batches
from tasks.refine.training.pairs.pair import Pairs
from tasks.refine.training.scores import score_view, validation_scores
from tasks.refine.training.trained import CurvePoint, ValidationScore
from tasks.runtime.checkpoints import SavedState
from tasks.runtime.context import Context, Device
from tasks.runtime.training_loop import StepStats, run_training

LAST_RATE = 0.01
"""Learning rate at the end, as a share of the largest."""
LARGEST_GRADIENT = 1.0
"""Norm to which larger gradients are clipped."""
CURVE_EVERY = 20
"""Steps averaged into one point of the curve."""
FIRST_AVERAGES = 10
"""Steps after which weights are averaged over about as many as were taken."""


N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recipe(Generic[N]):
    """A network, its training loss, and the refiner that it makes."""

    config: TrainConfig
    make: Callable[[], N]
    """Makes an untrained network with weights from torch's global generator."""
    loss: Callable[[N, Batch, int], Float32[Tensor, ""]]
    """Loss of a batch, on the network's device, in a step; its random numbers depend on the step
    alone."""
    refine: Callable[[N, ViewBatch], Refinement]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained(Generic[N]):
    """A network with averaged weights, on the CPU, and its training."""

    network: N
    curve: tuple[CurvePoint, ...]
    scores: tuple[ValidationScore, ...]
    """In the order of the steps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingState(SavedState):
    """Everything that the remaining steps depend on, beside the arguments of the training.

    An iteration is a step.
    """

    seconds: float
    """Time that the training has taken."""
    weights: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    losses: Float32[Tensor, " l"]
    """Losses of the steps since the last point of the curve."""
    points: tuple[tuple[int, float], ...]
    """Points of the curve: step, loss."""
    scores: tuple[tuple[int, str, int, float, float], ...]
    """The fields of each :class:`ValidationScore`."""


def train_network(
    recipe: Recipe[N], pairs: Pairs, validation: Pairs, *, context: Context = Context()
) -> Trained[N]:
    """Train a network from its start or from a checkpoint.

    The learning rate rises and then falls as a cosine of the finished share: of the steps, and then
    the weights are the same bits for equal arguments and threads on the CPU; or of the minutes, and
    then they depend on the speed of the machine. Torch's threads are used as set.

    Args:
        pairs: to train on.
        validation: of scenes that are not trained on; may be empty.
        context: its checkpoints are those of these very arguments.

    Raises:
        InputError: there are no pairs.
        DivergedError: the loss stopped being finite.

    Source of the averaging: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992; of the
    schedule: Loshchilov and Hutter, ICLR 2017, eq. 5.
    """
    if len(pairs) == 0:
        raise InputError(
            "there are 0 pairs, so a refiner has nothing to learn from; give scenes with enough "
            "photos to keep some from the fits"
        )
    trainer = NetworkTrainer(recipe, validation, context.device)
    return run_training(trainer, partial(batches, pairs, recipe.config), context)


class NetworkTrainer(Generic[N]):
    """A network in training, one batch of crops a step; :func:`train_network` drives it."""

    state_type = TrainingState

    def __init__(self, recipe: Recipe[N], validation: Pairs, device: Device = "cpu") -> None:
        self.iteration = 0
        self._recipe = recipe
        self._config = config = recipe.config
        self._validation = validation
        self._device = torch.device(device)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            network = recipe.make()
        self._network = network.to(self._device)
        self._averaged = copy.deepcopy(self._network).requires_grad_(False)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self._losses: list[Tensor] = []
        self._curve: list[CurvePoint] = []
        self._scores: list[ValidationScore] = []
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time that the training has taken, before its checkpoint too."""
        return self._seconds_before + time.monotonic() - self._started

    def share(self) -> float:
        """Finished share of the steps or of the minutes."""
        length = self._config.length
        if isinstance(length, Steps):
            return min(1.0, self.iteration / length.count)
        return min(1.0, self.seconds / (60 * length.minutes))

    def step(self, batch: Batch) -> StepStats:
        """Move the weights down the gradient of a batch's loss, and score them where that is due.

        Raises:
            DivergedError: the loss is not finite, where the step completes a point of the curve.
        """
        rate = self._config.learning_rate * schedule(self.share(), self._config.warm_up)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        fewer_bits = self._config.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=fewer_bits):
            loss = self._recipe.loss(self._network, batch.to(self._device), self.iteration)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), LARGEST_GRADIENT)
        self._optimiser.step()
        self.iteration += 1
        self._average()
        self._losses.append(loss.detach())
        if self.iteration % CURVE_EVERY == 0:
            self._add_point()
        if len(self._validation) and self._validation_is_due():
            self._score()
        return StepStats(iteration=self.iteration, share=self.share(), doing=self._doing())

    def state(self) -> TrainingState:
        """The state after the last step; shares its tensors with the trainer."""
        return TrainingState(
            iteration=self.iteration,
            seconds=self.seconds,
            weights=self._network.state_dict(),
            averaged=self._averaged.state_dict(),
            optimiser=self._optimiser.state_dict(),
            losses=torch.stack(self._losses) if self._losses else torch.zeros(0),
            points=tuple(map(astuple, self._curve)),
            scores=tuple(map(astuple, self._scores)),
        )

    def resume(self, state: TrainingState) -> None:
        """Continue from a state, its time included."""
        self.iteration, self._seconds_before = state.iteration, state.seconds
        self._network.load_state_dict(state.weights)
        self._averaged.load_state_dict(state.averaged)
        self._optimiser.load_state_dict(dict(state.optimiser))
        self._losses = list(state.losses.to(self._device).unbind())
        self._curve = [CurvePoint(step=step, loss=loss) for step, loss in state.points]
        self._scores = [
            ValidationScore(
                step=step, scene=scene, views=views, gain_db=gain_db, share_worse=share_worse
            )
            for step, scene, views, gain_db, share_worse in state.scores
        ]

    def result(self) -> Trained[N]:
        """The network with averaged weights; the trainer is of no use afterwards.

        Raises:
            DivergedError: the loss is not finite.
        """
        if self._losses:
            self._add_point()
        return Trained(
            network=self._averaged.cpu().eval(),
            curve=tuple(self._curve),
            scores=tuple(self._scores),
        )

    @torch.no_grad()
    def _average(self) -> None:
        steps = self.iteration
        kept = min(self._config.averaging, steps / (steps + FIRST_AVERAGES))
        torch._foreach_lerp_(
            list(self._averaged.parameters()), list(self._network.parameters()), 1 - kept
        )

    def _add_point(self) -> None:
        mean = float(torch.stack(self._losses).mean())
        if not math.isfinite(mean):
            raise DivergedError(
                f"the mean loss of the training became {mean} by step {self.iteration}, so its "
                "weights are of no use; train with a smaller learning_rate than "
                f"{self._config.learning_rate:g}"
            )
        self._curve.append(CurvePoint(step=self.iteration, loss=mean))
        self._losses = []

    def _validation_is_due(self) -> bool:
        """Whether fewer validations were made than belong to the finished share."""
        due = math.floor(self.share() * self._config.validations + 1e-9)
        return sum(not score.scene for score in self._scores) < due

    def _score(self) -> None:
        pairs, refine = self._validation, partial(self._recipe.refine, self._averaged)
        views = [
            score_view(refine, pairs[index], pairs.scenes[index], self._device)
            for index in spread(len(pairs), self._config.validation_views)
        ]
        self._scores += validation_scores(self.iteration, views)

    def _doing(self) -> str:
        loss = f"loss {self._curve[-1].loss:.3f}, " if self._curve else ""
        totals = [score.gain_db for score in self._scores if not score.scene]
        gain = f"{totals[-1]:+.2f} dB on other scenes, " if totals else ""
        return f"{loss}{gain}step {self.iteration}"


def schedule(share: float, warm_up: float) -> float:
    """Learning rate at a finished share of the training, as a share of the largest."""
    if share < warm_up:
        return share / warm_up
    fallen = (share - warm_up) / (1 - warm_up)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * fallen))


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` indices, evenly spread."""
    return sorted({index * count // most for index in range(most)}) if count else []
