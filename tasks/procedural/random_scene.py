"""Random scenes by seed, each with its own light, materials and camera path."""

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
"""Kinds of place for seeds 0 to 9, repeated: any run of seeds covers them evenly."""

MOST_SKY = 0.35
"""Maximum fraction of sky in a photo."""

FAR_M = 60.0
"""Maximum median depth of a photo; depth maps reach 65.5 m."""

LEAST_OVERLAP = 0.4
"""Minimum fraction of a photo's surface points that are visible in the next photo."""

_GREY = 0.3
"""Target mean of the display-linear photos; encoded, it is 0.5."""


def random_scene(seed: int) -> ProceduralScene:
    """A place with its objects, light and camera path.

    Every camera keeps clear of all surfaces and has mostly near surfaces in view, and consecutive
    photos overlap; a draw that fails this is rejected and repeated. Photos are 480 px along the
    longer side; :meth:`tasks.cameras.Cameras.resized` changes their size.

    Args:
        seed: not negative; equal seeds give equal scenes on every run.
    """
    for attempt in itertools.count():
        draws = Draws(np.random.default_rng([seed, attempt]))
        place = PLACES[seed % len(PLACES)](draws)
        texture_seed = draws.integer(1, 1 << 30)
        # Many solids are small, and two texels per side separate lit from shaded ends.
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
    """Whether cameras overlap, keep clear of surfaces, and have near ones and little sky in view.

    Args:
        solids: packed solids of the place.
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
        if (depth < 0.25 * np.median(depth[hit])).mean() > 0.25:  # an obstruction
            return False
        if before is not None and seen_from(solids, cameras, i, before).mean() < LEAST_OVERLAP:
            return False
        before = cameras.centres[i] + depth[hit, None] * rays[hit]
    return True


def metered(scene: ProceduralScene) -> float:
    """Exposure that brings the photos to a mean brightness, as a camera's meter does.

    Measured on small renders of three photos or so, with coarse indirect light.
    """
    exposure = 0.25  # low, to stay off the shoulder of the film curve
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
    for _ in range(40):  # bisection: the mean rises with exposure
        middle = (low * high) ** 0.5
        exposed = middle * radiance
        if (exposed / np.sqrt(1.0 + exposed**2)).mean() < _GREY:
            low = middle
        else:
            high = middle
    return round(low, 3)
