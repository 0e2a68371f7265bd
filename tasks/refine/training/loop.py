"""The training of every refiner that learns: steps on crops of pairs, scored as it goes."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from tasks.errors import InputError, MachineError
from tasks.refine.refiner import Refinement, ViewBatch
from tasks.refine.training.config import Steps, TrainConfig
from tasks.refine.training.crops import Batch, batches
from tasks.refine.training.pairs.pair import Pairs
from tasks.refine.training.scores import score_view, validation_scores
from tasks.refine.training.trained import CurvePoint, ValidationScore
from tasks.runtime.checkpoints import NO_CHECKPOINTS, Checkpoints, SavedState
from tasks.runtime.context import Device
from tasks.runtime.progress import Progress, no_progress

LAST_RATE = 0.01
"""Of the learning rate, at the end."""
LARGEST_GRADIENT = 1.0
"""Norm to which larger ones are cut."""
CURVE_EVERY = 20
"""Steps whose mean loss is a point of the curve."""
FIRST_AVERAGES = 10
"""Steps after which weights are averaged over about as many as were taken."""


N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recipe(Generic[N]):
    """A network that is trained, how, and what it makes of views."""

    config: TrainConfig
    make: Callable[[], N]
    """Untrained; draws its weights from torch's global generator."""
    loss: Callable[[N, Batch, int], Float32[Tensor, ""]]
    """Of a batch, on the network's device, in a step; all that is drawn depends on the step."""
    refine: Callable[[N, ViewBatch], Refinement]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained(Generic[N]):
    """A network with the averaged weights, on the CPU, and how it came about."""

    network: N
    curve: tuple[CurvePoint, ...]
    scores: tuple[ValidationScore, ...]
    """In the order of the steps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingState(SavedState):
    """All that the rest of a training depends on, beside what it was called with.

    An iteration is a step.
    """

    seconds: float
    weights: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    losses: Float32[Tensor, " l"]
    """Of the steps since the last point of the curve."""
    points: tuple[tuple[int, float], ...]
    """Of the curve: step, loss."""
    scores: tuple[tuple[int, str, int, float, float], ...]
    """The fields of each :class:`ValidationScore`."""


def train_network(
    recipe: Recipe[N],
    pairs: Pairs,
    validation: Pairs,
    *,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Trained[N]:
    """Train a network from the start, or from where ``checkpoints`` says that it was cut off.

    The learning rate rises and then falls as a cosine of the share that is done: of the steps, and
    then the weights are the same bits for equal arguments and threads on the CPU, or of the
    minutes, and then they depend on how fast the machine was. Torch's threads are used as set.

    Args:
        pairs: to learn from.
        validation: of scenes that are not learnt from; may be none.
        checkpoints: of these very arguments.

    Raises:
        InputError: there are no pairs.
        MachineError: the loss stopped being finite.

    Source of the averaging: Polyak and Juditsky, SIAM J. Control Optim. 30(4), 1992; of the
    schedule: Loshchilov and Hutter, ICLR 2017, eq. 5.
    """
    if len(pairs) == 0:
        raise InputError(
            "there are 0 pairs, so a refiner has nothing to learn from; give scenes with enough "
            "photos to keep some from the fits"
        )
    training = _Training(recipe, device)
    kept = checkpoints.load(TrainingState)
    if kept is not None:
        training.go_on_from(kept)
        del kept
    if checkpoints.note:
        progress(training.share(), checkpoints.note)
    try:
        with contextlib.closing(batches(pairs, recipe.config, start=training.step)) as stream:
            while training.share() < 1:
                training.take(next(stream))
                if len(validation) and training.validation_is_due():
                    training.score(validation)
                progress(training.share(), training.doing())
                if checkpoints.due():
                    checkpoints.save(training.state())
        return training.end()
    except MachineError:
        checkpoints.discard()
        raise


class _Training(Generic[N]):
    """What changes from one step to the next."""

    def __init__(self, recipe: Recipe[N], device: Device) -> None:
        self.recipe = recipe
        self.config = config = recipe.config
        self.device = torch.device(device)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            network = recipe.make()
        self.network = network.to(self.device)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.step = 0
        self.losses: list[Tensor] = []
        self.curve: list[CurvePoint] = []
        self.scores: list[ValidationScore] = []
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def share(self) -> float:
        """Of the training that is done; 1 at its end."""
        length = self.config.length
        if isinstance(length, Steps):
            return min(1.0, self.step / length.count)
        return min(1.0, self.seconds / (60 * length.minutes))

    def take(self, batch: Batch) -> None:
        """
        Raises:
            MachineError: the loss is not finite.
        """
        rate = self.config.learning_rate * schedule(self.share(), self.config.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        fewer_bits = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fewer_bits):
            loss = self.recipe.loss(self.network, batch.to(self.device), self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.step += 1
        kept = min(self.config.averaging, self.step / (self.step + FIRST_AVERAGES))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.network.parameters()), 1 - kept
            )
        self.losses.append(loss.detach())
        if self.step % CURVE_EVERY == 0:
            self._add_point()

    def _add_point(self) -> None:
        mean = float(torch.stack(self.losses).mean())
        if not math.isfinite(mean):
            raise MachineError(
                f"the loss of the training became {mean} by step {self.step}, so its weights are "
                "of no use; run it again with a smaller learning_rate than "
                f"{self.config.learning_rate:g}"
            )
        self.curve.append(CurvePoint(step=self.step, loss=mean))
        self.losses = []

    def validation_is_due(self) -> bool:
        """Whether as many were made as belong to the share that is done."""
        due = math.floor(self.share() * self.config.validations + 1e-9)
        return sum(not score.scene for score in self.scores) < due

    def score(self, pairs: Pairs) -> None:
        views = [
            score_view(self._refined, pairs[index], pairs.scenes[index], self.device)
            for index in spread(len(pairs), self.config.validation_views)
        ]
        self.scores += validation_scores(self.step, views)

    def _refined(self, views: ViewBatch) -> Refinement:
        return self.recipe.refine(self.averaged, views)

    def doing(self) -> str:
        loss = f"loss {self.curve[-1].loss:.3f}, " if self.curve else ""
        totals = [score.gain_db for score in self.scores if not score.scene]
        gain = f"{totals[-1]:+.2f} dB on other scenes, " if totals else ""
        return f"{loss}{gain}step {self.step}"

    def state(self) -> TrainingState:
        """Shares its tensors with the training."""
        return TrainingState(
            iteration=self.step,
            seconds=self.seconds,
            weights=self.network.state_dict(),
            averaged=self.averaged.state_dict(),
            optimiser=self.optimiser.state_dict(),
            losses=torch.stack(self.losses) if self.losses else torch.zeros(0),
            points=tuple(map(astuple, self.curve)),
            scores=tuple(map(astuple, self.scores)),
        )

    def go_on_from(self, state: TrainingState) -> None:
        self.step, self._seconds_before = state.iteration, state.seconds
        self.network.load_state_dict(state.weights)
        self.averaged.load_state_dict(state.averaged)
        self.optimiser.load_state_dict(dict(state.optimiser))
        self.losses = list(state.losses.to(self.device).unbind())
        self.curve = [CurvePoint(step=step, loss=loss) for step, loss in state.points]
        self.scores = [
            ValidationScore(
                step=step, scene=scene, views=views, gain_db=gain_db, share_worse=share_worse
            )
            for step, scene, views, gain_db, share_worse in state.scores
        ]

    def end(self) -> Trained[N]:
        """
        Raises:
            MachineError: the loss is not finite.
        """
        if self.losses:
            self._add_point()
        return Trained(
            network=self.averaged.cpu().eval(),
            curve=tuple(self.curve),
            scores=tuple(self.scores),
        )


def schedule(share: float, warm_up: float) -> float:
    """The learning rate at a share of the training, as a share of the largest."""
    if share < warm_up:
        return share / warm_up
    fallen = (share - warm_up) / (1 - warm_up)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * fallen))


def spread(count: int, most: int) -> list[int]:
    """Indices of at most so many, as evenly as can be."""
    return sorted({index * count // most for index in range(most)}) if count else []
