"""Compilation of the kernels of ray-traced scenes at set-up, so that no scene waits for it."""

from dataclasses import replace

import numpy as np

from tasks.procedural.random_scene import random_scene
from tasks.procedural.render import prepare, render

_EDGE = 8  # pixels


def warm_up() -> None:
    """Place a scene and render a tiny photo of it, or load the kernels from numba's cache."""
    scene = random_scene(0)
    tiny = scene.cameras.resized(np.full_like(scene.cameras.sizes, _EDGE))
    scene = replace(scene, cameras=tiny, texel_m=8.0 * scene.texel_m, bounces=1)
    render(prepare(scene, strata=1), scene.cameras, 0, samples=1)
