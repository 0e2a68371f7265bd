"""Fitting a splat to photographs with known cameras."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from PIL import Image
from torch import Tensor

from tasks.cameras import Cameras
from tasks.errors import InputError, MachineError
from tasks.gaussians import Gaussians, joined
from tasks.images import resized, resized_mask
from tasks.runtime.checkpoints import NO_CHECKPOINTS, Checkpoints
from tasks.runtime.context import Device
from tasks.runtime.progress import Progress, no_progress
from tasks.splat.config import Appearance, Densify, Mcmc, SplatConfig
from tasks.splat.densify.budget import check_room, most_gaussians
from tasks.splat.densify.strategy import Densifier, densifier_for
from tasks.splat.init.background import background_image
from tasks.splat.init.initialise import Initialisation
from tasks.splat.rasterise.protocol import (
    PinholeCameras,
    Rendering,
    RenderOptions,
    SplatTensors,
)
from tasks.splat.rasterise.select import prepare_rasteriser, rasteriser_for
from tasks.splat.train.adam import adam_for
from tasks.splat.train.batches import batches
from tasks.splat.train.depth_loss import DepthTarget, depth_loss, depth_target
from tasks.splat.train.floaters import limit_widths
from tasks.splat.train.loss import PreparedTarget, photometric_loss, prepare_target
from tasks.splat.train.per_photo import OfPhotos, PhotoTerms
from tasks.splat.train.state import DescentState

CURVE_EVERY = 50
"""Iterations averaged into one point of the training curve."""
DEPTH_EVERY = 2
"""Iterations between two that look at depths: rendering and pulling at them costs a tenth."""
NARROW_EVERY = 100
"""Iterations between two looks at Gaussians that are too wide for where they are."""
SCORES = 10
"""Points of the curve, evenly spread, at which the Gaussians are scored."""

Score = Callable[[Gaussians], float]
Watch = Callable[[int, Callable[[], Gaussians]], None]
"""Told after every iteration how many were taken; it may ask for a copy of the Gaussians."""


def nobody(iteration: int, gaussians: Callable[[], Gaussians]) -> None:
    """The default of every ``watch`` argument."""


LEARNING_RATES = {
    "means": 1.6e-4,  # times the scene's extent, and falling to a hundredth
    "scales": 5e-3,
    "quats": 1e-3,
    "opacities": 5e-2,
    "sh0": 2.5e-3,
    "shN": 2.5e-3 / 20,
}
"""Of the original implementation (Kerbl et al. 2023), as gsplat's trainer has them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """How the optimisation went; each loss is the mean of the iterations since the last point."""

    iteration: Int64[np.ndarray, " p"]
    loss: Float32[np.ndarray, " p"]
    gaussians: Int64[np.ndarray, " p"]
    """The backdrop aside."""
    score: Float32[np.ndarray, " p"]
    """NaN where the Gaussians were not scored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    gaussians: Gaussians
    curve: Curve
    photos: OfPhotos
    """What the fit found for each photo, in their order."""
    at_limit: bool = False
    """Whether there would be more Gaussians if there might be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """An image to fit to, and the camera that sees it."""

    target: PreparedTarget
    camera_from_world: Float64[np.ndarray, "4 4"]
    intrinsics: Float64[np.ndarray, "3 3"]
    width: int
    height: int
    background_image: Float32[Tensor, "h w 3"] | None = None
    """What is seen through the Gaussians; None for black."""
    depth: DepthTarget | None = None
    photo: int | None = None
    """Index of the photo that it is; None for an image that is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What one iteration fits to."""

    views: tuple[View, ...]
    """One or more, of one size; the loss is the mean of theirs."""
    sh_degree: int
    weight: float = 1.0
    """Of that loss."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Descent:
    """How the Gaussians move, whatever they are fitted to."""

    iterations: int
    extent: float
    """Of the scene, world units."""
    densify: Densify | None
    """None leaves the Gaussians as many as they are."""
    most_gaussians: int
    ssim_weight: float
    opacity_weight: float
    scale_weight: float
    depth_weight: float = 0.0
    """Of the views' depths, where they have them."""
    max_relative_scale: float | None = None
    """Standard deviation, in distances to the nearest camera; None for any."""
    centres: Float64[np.ndarray, "c 3"]
    """Of the cameras of the photos, world units."""
    appearance: Appearance = "none"
    """Of each photo."""
    pose_learning_rate: float = 0.0
    """Of the poses of the photos, radians and extents."""
    lr_scale: float = 1.0
    """Factor of the learning rates of the Gaussians."""
    sparse: bool = False
    """Whether an iteration moves only the Gaussians that its views show."""
    packed: bool = False
    """As the rasteriser takes it."""
    seed: int


def optimise(
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    cameras: Cameras,
    beginning: Initialisation,
    config: SplatConfig,
    *,
    warm_start: bool = False,
    weights: Sequence[Float32[np.ndarray, "_ _"] | None] | None = None,
    score: Score | None = None,
    watch: Watch = nobody,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Fitted:
    """Fit Gaussians to photos with Adam, L1 + D-SSIM and a strategy of densification.

    The same inputs give the same splat on the CPU at the same number of threads.

    Args:
        photos: training photos, RGB, each of the size its camera says.
        cameras: pinhole cameras of ``photos``, in the same order.
        beginning: what to start from; world units of ``cameras``, depths of ``photos``.
        settled: whether that is a fitted splat, which needs no half size and no low degrees first.
        weights: of each photo's pixels in the loss, 0 or more; None stands for 1 everywhere.
        score: of the Gaussians on the way, for the curve alone: nothing depends on it.
        watch: of the iterations that this call takes; nothing depends on it.
        checkpoints: of these very arguments; see :func:`descend`.

    Raises:
        InputError: ``beginning`` holds more Gaussians than there may be.
        MachineError: the optimisation diverged (a number stopped being finite).

    Source: Kerbl et al., SIGGRAPH 2023; densification: :mod:`tasks.splat.densify`.
    """
    check_room(len(beginning.gaussians), config)
    half_size_until = 0 if warm_start else int(config.half_size_share * config.iterations)
    sized = partial(
        views_of,
        photos,
        cameras,
        weights=weights,
        depths=beginning.depths,
        background=beginning.gaussians.background,
        device=device,
    )
    full = sized()
    half = sized(factor=2) if half_size_until else full
    order = batches([(view.width, view.height) for view in full], config.batch, config.seed)
    steps = (
        Step(
            views=tuple(
                (half if iteration < half_size_until else full)[photo] for photo in next(order)
            ),
            sh_degree=config.sh_degree
            if warm_start
            else min(iteration // config.sh_every, config.sh_degree),
        )
        for iteration in range(config.iterations)
    )
    descent = Descent(
        iterations=config.iterations,
        extent=scene_extent(cameras),
        densify=config.densify,
        most_gaussians=most_gaussians(config),
        ssim_weight=config.ssim_weight,
        opacity_weight=config.opacity_weight,
        scale_weight=config.scale_weight,
        depth_weight=config.depth_weight,
        max_relative_scale=config.max_relative_scale,
        centres=cameras.centres,
        appearance=config.appearance,
        pose_learning_rate=config.pose_learning_rate,
        lr_scale=config.batch**0.5,
        sparse=config.sparse,
        packed=config.packed,
        seed=config.seed,
    )
    return descend(
        beginning.gaussians,
        steps,
        descent,
        score=score,
        watch=watch,
        device=device,
        progress=progress,
        checkpoints=checkpoints,
    )


def descend(
    initial: Gaussians,
    steps: Iterator[Step],
    descent: Descent,
    *,
    score: Score | None = None,
    watch: Watch = nobody,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Fitted:
    """Take the first ``descent.iterations`` of ``steps``.

    Args:
        score: asked about the Gaussians at some points of the curve.
        watch: of the iterations that this call takes, not of those before a checkpoint.
        checkpoints: where the state is kept. One that is found there, of a call with equal
            arguments, is gone on from: on the CPU at the same number of threads, to the same bits
            as without a break.

    Raises:
        MachineError: the optimisation diverged (a number stopped being finite).
    """
    with torch.random.fork_rng():  # the strategy draws from torch's global generator
        torch.manual_seed(descent.seed)
        try:
            return _descend(initial, steps, descent, score, watch, device, progress, checkpoints)
        except (InputError, MachineError):
            checkpoints.discard()  # what was kept may be what cannot be gone on from
            raise


@dataclass(slots=True, kw_only=True)
class _Moving:
    """What changes from one iteration to the next."""

    iteration: int
    """How many were taken."""
    params: torch.nn.ParameterDict
    optimisers: dict[str, torch.optim.Optimizer]
    strategy_state: dict[str, Any]
    photo_terms: PhotoTerms
    losses: list[torch.Tensor]
    points: list[tuple[int, float, int, float]]

    def state(self, device: Device) -> DescentState:
        """Shares its tensors with the optimisation."""
        on_cuda = [torch.cuda.get_rng_state()] if device == "cuda" else []
        return DescentState(
            iteration=self.iteration,
            parameters={name: value.detach() for name, value in self.params.items()},
            optimisers={name: one.state_dict() for name, one in self.optimisers.items()},
            strategy=self.strategy_state,
            photo_terms=self.photo_terms.state(),
            generators=(torch.get_rng_state(), *on_cuda),
            losses=torch.stack(self.losses) if self.losses else torch.zeros(0),
            points=tuple(self.points),
        )


def _started(initial: Gaussians, strategy: Densifier, descent: Descent, device: Device) -> _Moving:
    params = _parameters(initial.foreground, device)
    return _Moving(
        iteration=0,
        params=params,
        optimisers=_optimisers(params, descent, device),
        strategy_state=strategy.initialize_state(scene_scale=descent.extent),
        photo_terms=_photo_terms(descent, device),
        losses=[],
        points=[],
    )


def _resumed(state: DescentState, descent: Descent, device: Device) -> _Moving:
    """Goes on from a state, and sets torch's global generators to it."""
    on_cpu, *on_cuda = state.generators
    torch.set_rng_state(on_cpu)
    for generator in on_cuda:
        torch.cuda.set_rng_state(generator)
    params = torch.nn.ParameterDict(
        {name: value.to(device) for name, value in state.parameters.items()}
    )
    optimisers = _optimisers(params, descent, device)
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(dict(state.optimisers[name]))
    photo_terms = _photo_terms(descent, device)
    photo_terms.load(state.photo_terms)
    return _Moving(
        iteration=state.iteration,
        params=params,
        optimisers=optimisers,
        strategy_state={
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in state.strategy.items()
        },
        photo_terms=photo_terms,
        losses=list(state.losses.to(device).unbind()),
        points=list(state.points),
    )


def _photo_terms(descent: Descent, device: Device) -> PhotoTerms:
    return PhotoTerms(
        appearance=descent.appearance,
        pose_learning_rate=descent.pose_learning_rate,
        centres=descent.centres,
        extent=descent.extent,
        iterations=descent.iterations,
        device=device,
    )


def _descend(
    initial: Gaussians,
    steps: Iterator[Step],
    descent: Descent,
    score: Score | None,
    watch: Watch,
    device: Device,
    progress: Progress,
    checkpoints: Checkpoints,
) -> Fitted:
    rasterise = rasteriser_for(torch.device(device))
    prepare_rasteriser(torch.device(device), progress)
    strategy = densifier_for(
        descent.densify,
        iterations=descent.iterations,
        extent=descent.extent,
        most=descent.most_gaussians - initial.num_background,
        device=device,
    )
    opacity_weight, scale_weight = _pulls(descent)
    centres = torch.from_numpy(descent.centres).to(device, torch.float32)
    kept = checkpoints.load(DescentState)
    moving = (
        _started(initial, strategy, descent, device)
        if kept is None
        else _resumed(kept, descent, device)
    )
    del kept  # of the size of all that moves
    params, optimisers, state = moving.params, moving.optimisers, moving.strategy_state
    photo_terms = moving.photo_terms
    strategy.check_sanity(params, optimisers)
    falling = 0.01 ** (1 / descent.iterations)
    if checkpoints.note:
        progress(moving.iteration / descent.iterations, checkpoints.note)

    first = moving.iteration
    for iteration, step in zip(
        range(first, descent.iterations), islice(steps, first, None), strict=False
    ):
        views, degree = step.views, step.sh_degree
        with_depth = iteration % DEPTH_EVERY == 0 and any(view.depth for view in views)
        scales, opacities = torch.exp(params["scales"]), torch.sigmoid(params["opacities"])
        rendering = rasterise(
            SplatTensors(
                means=params["means"],
                quats=params["quats"],
                scales=scales,
                opacities=opacities,
                sh=params["sh0"],
                sh_rest=params["shN"],
            ),
            _cameras_of(views, photo_terms),
            RenderOptions(
                sh_degree=degree,
                absgrad=strategy.absgrad,
                with_depth=with_depth,
                packed=descent.packed,
            ),
        )
        info = {
            "means2d": rendering.means2d,
            "radii": rendering.radii,
            "width": views[0].width,
            "height": views[0].height,
            "n_cameras": len(views),
            "gaussian_ids": rendering.gaussians,
        }
        strategy.step_pre_backward(params, optimisers, state, iteration, info)
        loss = step.weight * _mean(_losses(views, rendering, photo_terms, descent))
        if opacity_weight:
            loss = loss + opacity_weight * opacities.mean()
        if scale_weight:
            loss = loss + scale_weight / descent.extent * scales.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if descent.sparse:
            _keep_rows(params, _shown(rendering))
        for name, optimiser in optimisers.items():
            if name != "shN" or degree > 0:
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        photo_terms.step()
        with torch.no_grad():
            strategy.step_post_backward(params, optimisers, state, iteration, info)
            if descent.max_relative_scale and (iteration + 1) % NARROW_EVERY == 0:
                limit_widths(params["scales"], params["means"], centres, descent.max_relative_scale)
        optimisers["means"].param_groups[0]["lr"] *= falling

        moving.iteration = iteration + 1
        moving.losses.append(loss.detach())
        if moving.iteration % CURVE_EVERY == 0 or moving.iteration == descent.iterations:
            mean = float(torch.stack(moving.losses).mean())
            moving.losses.clear()
            if not np.isfinite(mean):
                raise MachineError(
                    f"the loss stopped being finite before iteration {moving.iteration} of "
                    f"{descent.iterations}, so the splat is lost; it will be tried again"
                )
            found = float("nan")
            if score is not None and _score_due(moving, descent):
                found = score(_joined(initial, params))
            moving.points.append((moving.iteration, mean, len(params["means"]), found))
            doing = (
                f"iteration {moving.iteration} of {descent.iterations}, "
                f"{len(params['means']):,} Gaussians"
                f"{' (no more may be)' * state.get('at_limit', False)}, loss {mean:.4f}"
            )
            note = f", {checkpoints.note}" if checkpoints.note else ""
            progress(moving.iteration / descent.iterations, doing + note)
        watch(moving.iteration, partial(_joined, initial, params))
        if checkpoints.due():
            checkpoints.save(moving.state(device))

    iterations, means, counts, scores = zip(*moving.points, strict=True)
    return Fitted(
        gaussians=_joined(initial, params),
        curve=Curve(
            iteration=np.array(iterations, dtype=np.int64),
            loss=np.array(means, dtype=np.float32),
            gaussians=np.array(counts, dtype=np.int64),
            score=np.array(scores, dtype=np.float32),
        ),
        at_limit=state.get("at_limit", False),
        photos=photo_terms.found(),
    )


def _cameras_of(views: Sequence[View], photo_terms: PhotoTerms) -> PinholeCameras:
    """The camera of one view, or the stack of the cameras of several."""
    poses: list[Any] = [photo_terms.pose(view.camera_from_world, view.photo) for view in views]
    backgrounds = [view.background_image for view in views if view.background_image is not None]
    if len(views) == 1:
        pose, intrinsics, background = poses[0], views[0].intrinsics, views[0].background_image
    else:
        pose = torch.stack(poses) if isinstance(poses[0], Tensor) else np.stack(poses)
        intrinsics = np.stack([view.intrinsics for view in views])
        background = torch.stack(backgrounds) if backgrounds else None
    return PinholeCameras(
        camera_from_world=pose,
        intrinsics=intrinsics,
        width=views[0].width,
        height=views[0].height,
        background_image=background,
    )


def _losses(
    views: Sequence[View], rendering: Rendering, photo_terms: PhotoTerms, descent: Descent
) -> Iterator[Tensor]:
    """Of each view."""
    images = (rendering.rgb, rendering.alpha, rendering.depth)
    for index, view in enumerate(views):
        rgb, alpha, depth = (
            image[index] if image is not None and len(views) > 1 else image for image in images
        )
        assert rgb is not None
        assert alpha is not None
        shown = photo_terms.seen(rgb, view.photo)
        loss = photometric_loss(shown, view.target, ssim_weight=descent.ssim_weight)
        if depth is not None and view.depth is not None:
            loss = loss + descent.depth_weight * depth_loss(depth, alpha, view.depth)
        yield loss


def _shown(rendering: Rendering) -> Int64[Tensor, " m"]:
    """Indices of the Gaussians in view of any camera, ascending."""
    if rendering.gaussians is not None:
        return torch.unique(rendering.gaussians)
    return (rendering.radii > 0).all(-1).any(0).nonzero()[:, 0]


def _keep_rows(params: torch.nn.ParameterDict, rows: Int64[Tensor, " m"]) -> None:
    """Make the gradients sparse ones of the rows alone."""
    for param in params.values():
        if param.grad is not None:
            param.grad = torch.sparse_coo_tensor(
                rows[None],
                param.grad[rows],
                param.shape,
                is_coalesced=True,
                check_invariants=False,  # rows are indices, each once
            )


def _mean(losses: Iterator[Tensor]) -> Tensor:
    first, *others = losses
    return torch.stack([first, *others]).mean() if others else first


def _pulls(descent: Descent) -> tuple[float, float]:
    """Weights of the mean opacity and of the mean scale."""
    if isinstance(own := descent.densify, Mcmc):
        return descent.opacity_weight + own.opacity_weight, descent.scale_weight + own.scale_weight
    return descent.opacity_weight, descent.scale_weight


def _score_due(moving: _Moving, descent: Descent) -> bool:
    """Whether another of the even parts of the optimisation ended since the last point."""
    before = moving.points[-1][0] if moving.points else 0
    return SCORES * before // descent.iterations < SCORES * moving.iteration // descent.iterations


def scene_extent(cameras: Cameras) -> float:
    """Radius of the camera centres about their mean, plus a tenth: the scale of steps in space."""
    centres = cameras.centres
    return float(np.linalg.norm(centres - centres.mean(0), axis=1).max() * 1.1)


def _parameters(initial: Gaussians, device: Device) -> torch.nn.ParameterDict:
    """By the names gsplat's strategies look for."""
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


def _joined(initial: Gaussians, params: torch.nn.ParameterDict) -> Gaussians:
    """The backdrop as it was, and what moved before it."""
    moved = Gaussians(
        means=params["means"].detach().cpu(),
        quats=torch.nn.functional.normalize(params["quats"].detach().cpu(), dim=-1),
        log_scales=params["scales"].detach().cpu(),
        logit_opacities=params["opacities"].detach().cpu(),
        sh=torch.cat([params["sh0"], params["shN"]], dim=1).detach().cpu(),
    )
    return joined([initial.background, moved])


def _optimisers(
    params: torch.nn.ParameterDict, descent: Descent, device: Device
) -> dict[str, torch.optim.Optimizer]:
    """One a parameter, as gsplat's strategies want them."""
    units = {"means": descent.extent}
    return {
        name: adam_for(
            [params[name]],
            descent.lr_scale * rate * units.get(name, 1.0),
            device,
            sparse=descent.sparse,
        )
        for name, rate in LEARNING_RATES.items()
    }


def views_of(
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    cameras: Cameras,
    *,
    weights: Sequence[Float32[np.ndarray, "_ _"] | None] | None = None,
    depths: Sequence[Float32[np.ndarray, "_ _"]] | None = None,
    background: Gaussians | None = None,
    factor: int = 1,
    device: Device = "cpu",
) -> list[View]:
    """Photos as targets, ``factor`` times smaller, and what is known of their depths.

    Args:
        background: a backdrop alone; None or an empty one for black.
    """
    sizes = np.maximum(1, cameras.sizes // factor)
    smaller = cameras.resized(sizes)
    return [
        View(
            target=_target(
                photos[i],
                None if weights is None else weights[i],
                (int(width), int(height)),
                device,
            ),
            camera_from_world=smaller.camera_from_world[i],
            intrinsics=smaller.intrinsics[i],
            width=int(width),
            height=int(height),
            background_image=None
            if background is None
            else background_image(background, smaller, i, device),
            depth=None
            if depths is None
            else depth_target(depths[i], (int(width), int(height)), device),
            photo=i,
        )
        for i, (width, height) in enumerate(sizes)
    ]


def _target(
    photo: np.ndarray, weight: np.ndarray | None, size: tuple[int, int], device: Device
) -> PreparedTarget:
    image = torch.from_numpy(resized(photo, size)).to(device) / 255.0
    if weight is None:
        return prepare_target(image)
    smaller = np.array(Image.fromarray(weight).resize(size, Image.Resampling.BOX))
    smaller *= resized_mask(weight > 0, size)  # what is left out must not come in at its edge
    return prepare_target(image, torch.from_numpy(smaller).to(device))
