"""Training pairs from a scene's photos: renders of splats of a few photos, at withheld ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, cycle, islice

import numpy as np
import torch

from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, from_uint8, resized, resized_mask
from tasks.refine.refiner import batch_of
from tasks.refine.training.pairs.config import PairsConfig
from tasks.refine.training.pairs.draw import draw_subsets
from tasks.refine.training.pairs.noise import perturbed
from tasks.refine.training.pairs.pair import Pair
from tasks.runtime.checkpoints import NO_CHECKPOINTS
from tasks.runtime.context import Context
from tasks.splat.config import TrainOn
from tasks.splat.fit import fit
from tasks.splat.render import render
from tasks.splat.training_photos import PosedPhotos
from tasks.views.config import ViewsConfig
from tasks.views.renderer import ViewRenderer, prepare, render_view
from tasks.views.visibility import visibility

GLANCE = 120
"""Longest edge for estimating the share of a view that the training photos show, px."""
FITTING = 0.9
"""Share of a subset's time that its fit takes, about."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mined:
    """A pair and its origin."""

    pair: Pair
    view: str
    """Name of the withheld photo."""
    nearest: str
    """Name of the photo in ``pair.views.nearest``."""
    training: tuple[str, ...]
    """Names of the photos that the splat was fitted to."""
    iterations: int
    """Iterations of the splat."""
    noisy: bool
    """Whether noise was added to the splat."""
    seen: float
    """Share of the view that the training photos show."""


def mine(
    scene: PosedPhotos,
    config: PairsConfig,
    *,
    seed: int = 0,
    context: Context = Context(),
) -> Iterator[Mined]:
    """Fit splats to a few photos each, and render them at the poses of withheld ones.

    A withheld photo lends a splat and its views nothing but its pose; its pixels are the target.

    Args:
        seed: of the scene, beside that of ``config``: scenes of equal length draw different photos.

    Raises:
        InputError: too few photos, or none of the subsets gave a splat that shows another photo.
        DivergedError: a fit diverged.
    """
    subsets = draw_subsets(len(scene.cameras), config, np.random.default_rng([config.seed, seed]))
    found, reason = 0, "they show too little of the others"
    for number, subset in enumerate(subsets):
        part = _part(context, number, len(subsets))
        training = scene.only(subset)
        try:
            splats = fitted_splats(training, config, context=part)
        except InputError as error:
            reason = str(error)
            continue
        rng = np.random.default_rng([config.seed, seed, number])
        withheld = [index for index in range(len(scene.cameras)) if index not in subset]
        for mined in _shown(scene, training, withheld, splats, config, rng, part):
            found += 1
            yield mined
    if not found:
        raise InputError(
            f"none of {len(subsets)} splats of {min(map(len, subsets))} to "
            f"{max(map(len, subsets))} of the scene's {len(scene.cameras)} photos gave a pair "
            f"({reason}); add photos, or leave the scene out"
        )
    context.progress(1.0, f"mined {found} pairs")


def _part(context: Context, number: int, count: int) -> Context:
    """The context of one splat: its progress names it, and its fit has no checkpoint.

    The stage's checkpoint would be one for the fits of all splats.
    """
    part = context.part(number / count, (number + 1) / count)

    def progress(share: float, doing: str) -> None:
        part.progress(share, f"splat {number + 1} of {count}, {doing}")

    return replace(part, progress=progress, checkpoints=NO_CHECKPOINTS)


def fitted_splats(
    training: PosedPhotos,
    config: PairsConfig,
    *,
    context: Context = Context(),
) -> Mapping[int, Gaussians]:
    """The splat stage's fit to all of these photos, at shares of its iterations.

    Returns:
        The splats by their number of iterations, ascending.

    Raises:
        InputError: too few points are seen by two of the photos.
        DivergedError: the optimisation diverged.
    """
    wanted = {max(1, round(share * config.splat.iterations)) for share in config.shares}
    kept: dict[int, Gaussians] = {}

    def keep(iteration: int, gaussians: Callable[[], Gaussians]) -> None:
        if iteration in wanted:
            kept[iteration] = gaussians()

    fit(
        training,
        TrainOn(photos=training.cameras.names, validation=0),
        config.splat,
        watch=keep,
        context=context.part(0.0, FITTING),
    )
    return kept


def seen_share(renderer: ViewRenderer, camera: Cameras) -> float:
    """Mean over a view of the splat's alpha times the visibility in the best training photo.

    Args:
        camera: of the view, one.
    """
    small = camera.resized(fitted_sizes(camera.sizes, GLANCE))
    front = renderer.gaussians.foreground
    shown = render(front, small, 0, with_depth=True, device=renderer.device)
    assert shown.depth is not None
    alpha, depth = shown.alpha.cpu().numpy(), shown.depth.cpu().numpy()
    somewhere = np.where(alpha > 0, depth, np.float32(1))  # of no weight where it is not the depth
    every = range(len(renderer.stack.cameras))
    best = visibility(somewhere, small, renderer.stack, every).per_pixel.max(0)
    return float((alpha * best).mean())


def _shown(
    scene: PosedPhotos,
    training: PosedPhotos,
    withheld: Sequence[int],
    splats: Mapping[int, Gaussians],
    config: PairsConfig,
    rng: np.random.Generator,
    context: Context,
) -> Iterator[Mined]:
    """Render the splats of one fit, and noisy copies of the last, at withheld photos in turn."""
    longest_edge = config.splat.max_size
    cameras = scene.cameras.resized(fitted_sizes(scene.cameras.sizes, longest_edge))
    *before, (most, last) = splats.items()
    copies = ((most, perturbed(last, config.noise, rng), True) for _ in range(config.noisy))
    fitted = ((iterations, splat, False) for iterations, splat in ((most, last), *before))
    count = len(splats) + config.noisy
    seen: dict[int, float] = {}
    turns: Iterator[int] = iter(())
    for number, (iterations, gaussians, noisy) in enumerate(chain(fitted, copies)):
        renderer = prepare(
            gaussians,
            training.cameras,
            training.photos,
            longest_edge=longest_edge,
            context=context,
            masks=training.masks,
        )
        if number == 0:  # of the last splat: early stops and noise do not change visibility
            shares = {one: seen_share(renderer, cameras.select([one])) for one in withheld}
            seen = {one: share for one, share in shares.items() if share >= config.min_seen}
            turns = cycle(rng.permutation(list(seen)).tolist())
        for index in islice(turns, min(config.views, len(seen))):
            yield _mined(
                renderer,
                training,
                scene.only([index]),
                config,
                iterations=iterations,
                noisy=noisy,
                seen=seen[index],
            )
        share = FITTING + (1 - FITTING) * (number + 1) / count
        context.progress(share, f"rendered {number + 1} of {count}")


def _mined(
    renderer: ViewRenderer,
    training: PosedPhotos,
    withheld: PosedPhotos,
    config: PairsConfig,
    *,
    iterations: int,
    noisy: bool,
    seen: float,
) -> Mined:
    """The pair of one withheld photo."""
    (photo,), (mask,) = withheld.photos, withheld.masks
    camera = withheld.cameras.resized(fitted_sizes(withheld.cameras.sizes, config.splat.max_size))
    views_config = ViewsConfig(sources=config.sources, sweep=config.sweep)
    view = render_view(renderer, camera, views_config)
    nearest = training.photos[training.cameras.names.index(view.nearest)]
    width, height = camera.size(0)
    counts = np.ones((height, width), bool) if mask is None else resized_mask(mask, (width, height))
    return Mined(
        pair=Pair(
            views=batch_of([view], [nearest]),
            target=torch.from_numpy(from_uint8(resized(photo, (width, height)))),
            counts=torch.from_numpy(counts.astype(np.float32)),
        ),
        view=camera.names[0],
        nearest=view.nearest,
        training=training.cameras.names,
        iterations=iterations,
        noisy=noisy,
        seen=seen,
    )
