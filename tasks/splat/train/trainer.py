"""Training of a splat: one trainer for the fit, its continuation, distillation and joint sampling.

Source: Kerbl et al., SIGGRAPH 2023; densification: :mod:`tasks.splat.densify`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from tasks.errors import DivergedError
from tasks.gaussians import Gaussians, joined
from tasks.runtime.context import Context, Device
from tasks.runtime.training_loop import StepStats, run_training
from tasks.splat.config import SplatConfig
from tasks.splat.densify.budget import check_room
from tasks.splat.densify.strategy import densifier_for
from tasks.splat.init.initialise import Initialisation
from tasks.splat.rasterise.protocol import (
    Rendering,
    RenderOptions,
    SplatTensors,
)
from tasks.splat.rasterise.select import prepare_rasteriser, rasteriser_for
from tasks.splat.train.adam import adam_for
from tasks.splat.train.batches import batches
from tasks.splat.train.floaters import limit_widths
from tasks.splat.train.per_photo import PerPhoto, PerPhotoFit
from tasks.splat.train.settings import LEARNING_RATES, TrainSettings, settings_for
from tasks.splat.train.sparse import keep_rows_in_view
from tasks.splat.train.state import TrainState
from tasks.splat.train.targets import (
    Batch,
    batch_loss,
    cameras_of,
    from_iteration,
    photo_views,
)
from tasks.splat.training_photos import SizedPhotos

CURVE_EVERY = 50
"""Iterations averaged into one point of the training curve."""
DEPTH_EVERY = 2
"""Iterations from one depth loss to the next: rendering and comparing depth costs a tenth."""
NARROW_EVERY = 100
"""Iterations from one limit on relative scales to the next."""
SCORES = 10
"""Number of curve points, evenly spread, at which the Gaussians are scored."""

Score = Callable[[Gaussians], float]
Watch = Callable[[int, Callable[[], Gaussians]], None]
"""Called after every iteration with the number of iterations taken and a function that copies the
Gaussians."""


def ignore(iteration: int, gaussians: Callable[[], Gaussians]) -> None:
    """The default of every ``watch`` argument."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Training curve; each loss is the mean of the iterations since the last point."""

    iteration: Int64[np.ndarray, " p"]
    loss: Float32[np.ndarray, " p"]
    gaussians: Int64[np.ndarray, " p"]
    """Number of Gaussians, without the background."""
    score: Float32[np.ndarray, " p"]
    """NaN where the Gaussians were not scored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """Trained Gaussians."""

    gaussians: Gaussians
    curve: Curve
    per_photo: PerPhotoFit
    """Terms found for each photo, in their order."""
    at_limit: bool = False
    """Whether the limit of Gaussians stopped their growth."""


def optimise(
    training: SizedPhotos,
    initial: Initialisation,
    config: SplatConfig,
    *,
    warm_start: bool = False,
    score: Score | None = None,
    watch: Watch = ignore,
    context: Context = Context(),
) -> Fitted:
    """Fit Gaussians to photos with Adam, L1 + D-SSIM and a strategy of densification.

    The same arguments give the same splat on the CPU at the same number of threads.

    Args:
        initial: Gaussians in world units of the cameras, and depths of the photos.
        warm_start: whether ``initial`` is a fitted splat, which needs neither half size nor low
            degrees first.
        score: of the Gaussians on the way, for the curve alone: nothing depends on it.
        watch: of the iterations that this call takes; nothing depends on it.
        context: its checkpoints are those of these very arguments; see :func:`train`.

    Raises:
        InputError: ``initial`` holds more Gaussians than there may be.
        DivergedError: the loss stopped being finite.
    """
    check_room(len(initial.gaussians), config)
    settings = replace(
        settings_for(
            config,
            training.cameras,
            iterations=config.iterations,
            densify=config.densify,
            seed=config.seed,
        ),
        depth_weight=config.depth_weight,
        appearance=config.appearance,
        pose_learning_rate=config.pose_learning_rate,
        lr_scale=config.batch**0.5,
    )
    steps = _photo_batches(training, initial, config, warm_start, context.device)
    return train(initial.gaussians, steps, settings, score=score, watch=watch, context=context)


def _photo_batches(
    training: SizedPhotos,
    initial: Initialisation,
    config: SplatConfig,
    warm_start: bool,
    device: Device,
) -> Iterator[Batch]:
    """Batches of a whole fit: half size and low degrees first, unless it starts from a splat."""
    half_size_until = 0 if warm_start else int(config.half_size_share * config.iterations)
    views = partial(
        photo_views,
        training,
        depths=initial.depths,
        background=initial.gaussians.background,
        device=device,
    )
    full = views()
    half = views(factor=2) if half_size_until else full
    order = batches([(view.width, view.height) for view in full], config.batch, config.seed)
    return (
        Batch(
            views=tuple((half if iteration < half_size_until else full)[i] for i in next(order)),
            sh_degree=config.sh_degree
            if warm_start
            else min(iteration // config.sh_every, config.sh_degree),
        )
        for iteration in range(config.iterations)
    )


def train(
    initial: Gaussians,
    steps: Iterable[Batch],
    settings: TrainSettings,
    *,
    score: Score | None = None,
    watch: Watch = ignore,
    context: Context = Context(),
) -> Fitted:
    """Take the first ``settings.iterations`` of ``steps``.

    Args:
        score: of the Gaussians at some points of the curve.
        watch: of the iterations that this call takes, not of those before a checkpoint.
        context: a checkpoint of a call with equal arguments is resumed from: on the CPU at the same
            number of threads, to the same bits as without a break.

    Raises:
        InputError: a Gaussian is not finite.
        DivergedError: the loss stopped being finite.
    """
    with torch.random.fork_rng():  # the strategy draws from torch's global generator
        prepare_rasteriser(torch.device(context.device), context.progress)
        torch.manual_seed(settings.seed)
        trainer = SplatTrainer(initial, settings, score, watch, context.device)
        return run_training(trainer, partial(from_iteration, steps), context)


class SplatTrainer:
    """Gaussians in training, one batch a step; the background never moves.

    Random numbers come from torch's global generators. :func:`train` drives it.
    """

    state_type = TrainState

    def __init__(
        self,
        initial: Gaussians,
        settings: TrainSettings,
        score: Score | None = None,
        watch: Watch = ignore,
        device: Device = "cpu",
    ) -> None:
        self.iteration = 0
        self._background = initial.background
        self._settings = settings
        self._score = score
        self._watch = watch
        self._device = device
        self._rasterise = rasteriser_for(torch.device(device))
        self._strategy = densifier_for(
            settings.densify,
            iterations=settings.iterations,
            extent=settings.extent,
            most=settings.most_gaussians - initial.num_background,
            device=device,
        )
        self._centres = torch.from_numpy(settings.centres).to(device, torch.float32)
        self._params = _parameters(initial.foreground, device)
        self._optimisers = _optimisers(self._params, settings, device)
        self._densification = self._strategy.initialize_state(scene_scale=settings.extent)
        self._per_photo = PerPhoto(settings, device)
        self._losses: list[Tensor] = []
        self._points: list[tuple[int, float, int, float]] = []
        self._strategy.check_sanity(self._params, self._optimisers)

    def share(self) -> float:
        """Finished share of the iterations."""
        return self.iteration / self._settings.iterations

    def gaussians(self) -> Gaussians:
        """A copy of the Gaussians as they are, behind the background."""
        params = {name: value.detach().cpu() for name, value in self._params.items()}
        foreground = Gaussians(
            means=params["means"],
            quats=torch.nn.functional.normalize(params["quats"], dim=-1),
            log_scales=params["scales"],
            logit_opacities=params["opacities"],
            sh=torch.cat([params["sh0"], params["shN"]], dim=1),
        )
        return joined([self._background, foreground])

    def step(self, batch: Batch) -> StepStats:
        """Render a batch, take the gradient of its loss, and move, add and remove Gaussians.

        Raises:
            InputError: a Gaussian is not finite.
            DivergedError: the loss is not finite, where the step completes a point of the curve.
        """
        scales = torch.exp(self._params["scales"])
        opacities = torch.sigmoid(self._params["opacities"])
        rendering = self._rendering(batch, scales, opacities)
        info = {
            "means2d": rendering.means2d,
            "radii": rendering.radii,
            "width": batch.views[0].width,
            "height": batch.views[0].height,
            "n_cameras": len(batch.views),
            "gaussian_ids": rendering.gaussians,
        }
        moving = self._params, self._optimisers, self._densification, self.iteration, info
        self._strategy.step_pre_backward(*moving)
        loss = batch_loss(batch, rendering, self._per_photo, self._settings)
        if weight := self._settings.opacity_pull:
            loss = loss + weight * opacities.mean()
        if weight := self._settings.scale_pull:
            loss = loss + weight / self._settings.extent * scales.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self._update(rendering, batch.sh_degree)
        with torch.no_grad():
            self._strategy.step_post_backward(*moving)
            self._limit_widths()
        self._optimisers["means"].param_groups[0]["lr"] *= self._settings.decay
        self.iteration += 1
        self._losses.append(loss.detach())
        stats = self._stats()
        self._watch(self.iteration, self.gaussians)
        return stats

    def state(self) -> TrainState:
        """The state after the last step; shares its tensors with the trainer."""
        on_cuda = [torch.cuda.get_rng_state()] if self._device == "cuda" else []
        return TrainState(
            iteration=self.iteration,
            parameters={name: value.detach() for name, value in self._params.items()},
            optimisers={name: one.state_dict() for name, one in self._optimisers.items()},
            strategy=self._densification,
            per_photo=self._per_photo.state(),
            generators=(torch.get_rng_state(), *on_cuda),
            losses=torch.stack(self._losses) if self._losses else torch.zeros(0),
            points=tuple(self._points),
        )

    def resume(self, state: TrainState) -> None:
        """Continue from a state, torch's global generators included."""
        on_cpu, *on_cuda = state.generators
        torch.set_rng_state(on_cpu)
        for generator in on_cuda:
            torch.cuda.set_rng_state(generator)
        self.iteration = state.iteration
        self._params = torch.nn.ParameterDict(_on(state.parameters, self._device))
        self._optimisers = _optimisers(self._params, self._settings, self._device)
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(dict(state.optimisers[name]))
        self._densification = _on(state.strategy, self._device)
        self._per_photo.load(state.per_photo)
        self._losses = list(state.losses.to(self._device).unbind())
        self._points = list(state.points)

    def result(self) -> Fitted:
        """The Gaussians, the training curve and the terms of the photos."""
        iterations, means, counts, scores = zip(*self._points, strict=True)
        return Fitted(
            gaussians=self.gaussians(),
            curve=Curve(
                iteration=np.array(iterations, dtype=np.int64),
                loss=np.array(means, dtype=np.float32),
                gaussians=np.array(counts, dtype=np.int64),
                score=np.array(scores, dtype=np.float32),
            ),
            at_limit=self._densification.get("at_limit", False),
            per_photo=self._per_photo.fit(),
        )

    def _rendering(
        self, batch: Batch, scales: Float32[Tensor, "n 3"], opacities: Float32[Tensor, " n"]
    ) -> Rendering:
        """Render the cameras of a batch, stacked where there are several.

        Args:
            scales: standard deviations, world units.
            opacities: 0..1.
        """
        return self._rasterise(
            SplatTensors(
                means=self._params["means"],
                quats=self._params["quats"],
                scales=scales,
                opacities=opacities,
                sh=self._params["sh0"],
                sh_rest=self._params["shN"],
            ),
            cameras_of(batch.views, self._per_photo),
            RenderOptions(
                sh_degree=batch.sh_degree,
                absgrad=self._strategy.absgrad,
                with_depth=self.iteration % DEPTH_EVERY == 0 and any(v.depth for v in batch.views),
                packed=self._settings.packed,
            ),
        )

    def _update(self, rendering: Rendering, sh_degree: int) -> None:
        """Step all optimisers by the gradients that are there, and clear these."""
        if self._settings.sparse:
            keep_rows_in_view(self._params, rendering)
        for name, optimiser in self._optimisers.items():
            if name != "shN" or sh_degree > 0:
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._per_photo.step()

    def _limit_widths(self) -> None:
        most = self._settings.max_relative_scale
        if most and (self.iteration + 1) % NARROW_EVERY == 0:
            limit_widths(self._params["scales"], self._params["means"], self._centres, most)

    def _stats(self) -> StepStats:
        """
        Raises:
            DivergedError: the mean loss of a new point of the curve is not finite.
        """
        iterations, count = self._settings.iterations, len(self._params["means"])
        if self.iteration % CURVE_EVERY and self.iteration != iterations:
            return StepStats(iteration=self.iteration, share=self.share())
        mean = float(torch.stack(self._losses).mean())
        self._losses.clear()
        if not np.isfinite(mean):
            raise DivergedError(
                f"the mean loss before iteration {self.iteration} of {iterations} is {mean}, so "
                f"the {count:,} Gaussians are of no use; lower 'splat.batch' and "
                "'splat.pose_learning_rate', or choose another 'splat.densify'"
            )
        found = float("nan")
        if self._score is not None and self._score_is_due():
            found = self._score(self.gaussians())
        self._points.append((self.iteration, mean, count, found))
        limit = " (the limit)" * self._densification.get("at_limit", False)
        return StepStats(
            iteration=self.iteration,
            share=self.share(),
            doing=f"iteration {self.iteration} of {iterations}, {count:,} Gaussians{limit}, "
            f"loss {mean:.4f}",
        )

    def _score_is_due(self) -> bool:
        """Whether another of the ``SCORES`` even parts ended since the last point."""
        before, iterations = self._points[-1][0] if self._points else 0, self._settings.iterations
        return SCORES * before // iterations < SCORES * self.iteration // iterations


def _parameters(initial: Gaussians, device: Device) -> torch.nn.ParameterDict:
    """Copies, by the names that gsplat's strategies use."""
    values = {
        "means": initial.means,
        "scales": initial.log_scales,
        "quats": initial.quats,
        "opacities": initial.logit_opacities,
        "sh0": initial.sh[:, :1],
        "shN": initial.sh[:, 1:],
    }
    return torch.nn.ParameterDict(
        {name: value.detach().clone().contiguous().to(device) for name, value in values.items()}
    )


def _optimisers(
    params: torch.nn.ParameterDict, settings: TrainSettings, device: Device
) -> dict[str, torch.optim.Optimizer]:
    """One for each parameter, as gsplat's strategies need them."""
    units = {"means": settings.extent}
    return {
        name: adam_for(
            [params[name]],
            settings.lr_scale * rate * units.get(name, 1.0),
            device,
            sparse=settings.sparse,
        )
        for name, rate in LEARNING_RATES.items()
    }


def _on(values: Mapping[str, Any], device: Device) -> dict[str, Any]:
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in values.items()
    }
