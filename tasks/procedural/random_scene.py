"""Random scenes without limit, each with light, materials and a camera path of its own."""

import itertools
from dataclasses import replace

import numpy as np

from tasks.procedural.build import ProceduralScene
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.places import Place
from tasks.procedural.draws.room import room
from tasks.procedural.draws.street import street
from tasks.procedural.draws.table import still_life
from tasks.procedural.draws.village import village
from tasks.procedural.draws.yard import court, garden
from tasks.procedural.render import prepare, render
from tasks.procedural.trace import Solids, pack
from tasks.procedural.visibility import clearance, sampled_depth, seen_from

PLACES = (street, room, court, garden, still_life, street, room, court, garden, village)
"""Those of seeds 0 to 9, then over again: any run of seeds has them evenly."""

MOST_SKY = 0.35
"""Of a photo's pixels."""

FAR_M = 60.0
"""What counts as near enough to be learnt from; depth maps reach 65.5 m."""

LEAST_OVERLAP = 0.4
"""Share of a photo's surface that its neighbour on the path sees too, unhidden."""

_GREY = 0.3
"""Mean of the film's display light that the exposure aims at; its power of 0.55 is 0.5."""


def random_scene(seed: int) -> ProceduralScene:
    """A place, things in it, light on it and a path of cameras through it.

    Every camera stands clear of all surfaces and sees mostly what is near, and neighbours on the
    path overlap: what a seed draws first and does not keep to that is drawn again. Photos are
    480 px along the longer side; :meth:`tasks.cameras.Cameras.resized` gives them any other size.

    Args:
        seed: not negative; equal seeds give equal scenes on every run.
    """
    for attempt in itertools.count():
        draws = Draws(np.random.default_rng([seed, attempt]))
        place = PLACES[seed % len(PLACES)](draws)
        texture_seed = draws.integer(1, 1 << 30)
        # Much is small here, and two texels a side show which of its ends is in the shade.
        solids = tuple(replace(s, least_texels=min(s.least_texels, 2)) for s in place.solids)
        if cameras_see_enough(place, pack(solids)):
            break
    scene = ProceduralScene(
        name=f"random_{seed:06d}",
        solids=solids,
        light=place.light,
        texel_m=place.texel_m,
        bounces=place.bounces,
        cameras=place.cameras,
        texture_seed=texture_seed,
    )
    exposure = metered(scene)
    return replace(scene, light=scene.light._replace(exposure=exposure))


def cameras_see_enough(place: Place, solids: Solids) -> bool:
    """Whether every camera stands clear, sees little sky and what is near, and overlaps the next.

    Args:
        solids: those of the place, packed.
    """
    cameras = place.cameras
    if not clearance(solids, cameras.centres, place.clearance_m).all():
        return False
    before = None
    for i in range(len(cameras)):
        depth, rays = sampled_depth(solids, cameras, i, columns=24, rows=16)
        hit = np.isfinite(depth)
        if hit.mean() < 1.0 - MOST_SKY or np.median(depth) > FAR_M:
            return False
        if (depth < 0.25 * np.median(depth[hit])).mean() > 0.25:  # something is in the way
            return False
        if before is not None and seen_from(solids, cameras, i, before).mean() < LEAST_OVERLAP:
            return False
        before = cameras.centres[i] + depth[hit, None] * rays[hit]
    return True


def metered(scene: ProceduralScene) -> float:
    """The exposure at which the photos are as bright as photos are, as a camera's meter sets it.

    From a few pixels of three of them, under coarse indirect light.
    """
    exposure = 0.25  # low, so that no light is lost to the curve's shoulder
    small = np.tile(np.array([24, 16], dtype=np.int64), (len(scene.cameras), 1))
    dim = replace(
        scene,
        cameras=scene.cameras.resized(small),
        light=scene.light._replace(exposure=exposure),
        texel_m=4.0 * scene.texel_m,
        bounces=min(scene.bounces, 3),
    )
    prepared = prepare(dim, strata=2)
    third = max(len(scene.cameras) // 3, 1)
    photos = [
        render(prepared, dim.cameras, i, samples=1)[0] for i in range(0, len(scene.cameras), third)
    ]
    display = (np.stack(photos).reshape(-1, 3).mean(1) / 255.0) ** (2.2 / 1.2)
    display = np.clip(display, 1e-4, 0.98)
    radiance = display / np.sqrt(1.0 - display**2) / exposure
    low, high = 0.05, 50.0
    for _ in range(40):  # the mean rises with exposure, so halving finds it
        middle = (low * high) ** 0.5
        exposed = middle * radiance
        if (exposed / np.sqrt(1.0 + exposed**2)).mean() < _GREY:
            low = middle
        else:
            high = middle
    return round(low, 3)
