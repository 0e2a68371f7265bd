"""The training of every refiner that learns: steps on crops of pairs, scored as it goes."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from tasks.errors import InputError, MachineError
from tasks.refine.batch import Refinement, ViewBatch
from tasks.refine.pairs.pair import Pairs
from tasks.refine.training.config import Steps, TrainConfig
from tasks.refine.training.crops import Batch, batches
from tasks.refine.training.scores import Gains, ViewScore, gains, score_view
from tasks.site import Device, Progress, no_progress
from tasks.splat.checkpoints import NO_CHECKPOINTS, Checkpoints, KeptState

LAST_RATE = 0.01
"""Of the learning rate, at the end."""
LARGEST_GRADIENT = 1.0
"""Norm to which larger ones are cut."""
CURVE_EVERY = 20
"""Steps whose mean loss is a point of the curve."""
FIRST_AVERAGES = 10
"""Steps after which weights are averaged over about as many as were taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a training had reached after so many steps."""

    step: int
    total: Gains
    scenes: tuple[Gains, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingCurve:
    """Of the training: means of the loss over so many steps before each point."""

    step: Int64[np.ndarray, " n"]
    seconds: Float32[np.ndarray, " n"]
    loss: Float32[np.ndarray, " n"]


N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recipe(Generic[N]):
    """A network that is trained, how, and what it makes of views."""

    config: TrainConfig
    make: Callable[[], N]
    """Untrained; draws its weights from torch's global generator."""
    loss: Callable[[N, Batch, int], Float32[Tensor, ""]]
    """Of a batch, on the network's device, in a step; all that is drawn depends on the step."""
    repair: Callable[[N, ViewBatch], Refinement]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained(Generic[N]):
    """A network with the averaged weights, on the CPU, and how it came about."""

    network: N
    steps: int
    seconds: float
    curve: TrainingCurve
    validations: tuple[Validation, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingState(KeptState):
    """All that the rest of a training depends on, beside what it was called with.

    An iteration is a step.
    """

    seconds: float
    weights: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    losses: Float32[Tensor, " l"]
    """Of the steps since the last point of the curve."""
    points: tuple[tuple[int, float, float], ...]
    """Of the curve: step, seconds, loss."""
    scores: tuple[tuple[int, tuple[tuple[str, float, float, float], ...]], ...]
    """Of the validations: step, and scene and PSNR of each view."""


def train_network(
    recipe: Recipe[N],
    pairs: Pairs,
    validation: Pairs,
    *,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints[TrainingState] = NO_CHECKPOINTS,
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
    kept = checkpoints.load()
    if kept is not None:
        training.go_on_from(kept)
        del kept
    if checkpoints.note:
        progress(training.share(), checkpoints.note)
    try:
        with contextlib.closing(batches(pairs, recipe.config, start=training.step)) as stream:
            while training.share() < 1:
                training.take(next(stream))
                if training.validation_is_due():
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
        self.points: list[tuple[int, float, float]] = []
        self.scores: list[tuple[int, tuple[ViewScore, ...]]] = []
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
        self.points.append((self.step, self.seconds, mean))
        self.losses = []

    def validation_is_due(self) -> bool:
        """Whether as many were made as belong to the share that is done."""
        return len(self.scores) < math.floor(self.share() * self.config.validations + 1e-9)

    def score(self, pairs: Pairs) -> None:
        scores = tuple(
            score_view(
                self._repaired,
                pairs[index],
                pairs.scenes[index],
                self.device,
                arm=self.config.features.reproject,
            )
            for index in spread(len(pairs), self.config.validation_views)
        )
        self.scores.append((self.step, scores))

    def _repaired(self, views: ViewBatch) -> Refinement:
        return self.recipe.repair(self.averaged, views)

    def doing(self) -> str:
        loss = f"loss {self.points[-1][2]:.3f}, " if self.points else ""
        gain = ""
        if self.scores and self.scores[-1][1]:
            gain = f"{gains(self.scores[-1][1], '').over_render_db:+.2f} dB on other scenes, "
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
            points=tuple(self.points),
            scores=tuple(
                (
                    step,
                    tuple((v.scene, v.render_db, v.reproject_db, v.refined_db) for v in views),
                )
                for step, views in self.scores
            ),
        )

    def go_on_from(self, state: TrainingState) -> None:
        self.step, self._seconds_before = state.iteration, state.seconds
        self.network.load_state_dict(state.weights)
        self.averaged.load_state_dict(state.averaged)
        self.optimiser.load_state_dict(dict(state.optimiser))
        self.losses = list(state.losses.to(self.device).unbind())
        self.points = list(state.points)
        self.scores = [
            (
                step,
                tuple(
                    ViewScore(scene=scene, render_db=before, reproject_db=arm, refined_db=after)
                    for scene, before, arm, after in views
                ),
            )
            for step, views in state.scores
        ]

    def end(self) -> Trained[N]:
        """
        Raises:
            MachineError: the loss is not finite.
        """
        if self.losses:
            self._add_point()
        step, seconds, loss = zip(*self.points, strict=True)
        return Trained(
            network=self.averaged.cpu().eval(),
            steps=self.step,
            seconds=self.seconds,
            curve=TrainingCurve(
                step=np.array(step, np.int64),
                seconds=np.array(seconds, np.float32),
                loss=np.array(loss, np.float32),
            ),
            validations=tuple(
                Validation(
                    step=step,
                    total=gains(views, ""),
                    scenes=tuple(
                        gains([view for view in views if view.scene == scene], scene)
                        for scene in sorted({view.scene for view in views})
                    ),
                )
                for step, views in self.scores
                if views
            ),
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
