"""Random scenes as a dataset: a folder of scene folders with exact cameras and depth."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from tasks.errors import InputError
from tasks.procedural.photo_effects import draw_effects
from tasks.procedural.random_scene import random_scene
from tasks.procedural.write import is_written, stamp_of, write_scene

GENERATION = 1
"""Raised by hand when seeds give other scenes, so that older folders are rewritten."""

MANIFEST = "dataset.yaml"


def write_random_scenes(
    folder: Path,
    seeds: Sequence[int],
    *,
    long_side: int = 480,
    effects: bool = False,
    progress: Callable[[str, int, int], None],
) -> tuple[Path, ...]:
    """Write the random scenes of ``seeds``, and a manifest that uses their exact poses.

    A scene's folder appears when complete, the manifest last. A finished scene with the same
    settings is kept, so a killed run resumes.

    Args:
        folder: created if missing.
        long_side: longer side of the photos, pixels.
        effects: whether to apply camera effects (:mod:`tasks.procedural.photo_effects`).
        progress: called with a scene's name, its number of photos done and its total.

    Returns:
        Folders of the scenes, in the order of the seeds.

    Raises:
        InputError: a seed is negative or repeated, or a scene's folder holds something else.
    """
    if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
        raise InputError(
            f"{len(seeds)} seeds, {len(set(seeds))} of them different and the least "
            f"{min(seeds)}, do not name one scene each; give every seed once, none below 0"
        )
    folders = [folder / f"random_{seed:06d}" for seed in seeds]
    for seed, target in zip(seeds, folders, strict=True):
        _write_one(seed, target, long_side, effects, progress)
    entries = [
        {"name": target.name, "folder": target.name, "config": {"sfm": {"poses": "given"}}}
        for target in folders
    ]
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(yaml.safe_dump({"scenes": entries}))
    partial.replace(folder / MANIFEST)
    return tuple(folders)


def _write_one(
    seed: int,
    target: Path,
    long_side: int,
    effects: bool,
    progress: Callable[[str, int, int], None],
) -> None:
    settings = {"generation": GENERATION, "long_side": long_side, "effects": effects}
    stamp = stamp_of(target.name) | settings
    if is_written(target, stamp):  # before the scene is drawn, which takes seconds
        return
    scene = random_scene(seed)
    sizes = scene.cameras.sizes * (long_side / scene.cameras.sizes.max())
    scene = replace(scene, cameras=scene.cameras.resized(np.rint(sizes).astype(np.int64)))
    write_scene(
        scene,
        target,
        lambda done, total: progress(target.name, done, total),
        strata=2 * scene.bounces + 2,  # noise of indirect light grows with its bounces
        effects=draw_effects(seed, len(scene.cameras)) if effects else None,
        stamp=stamp,
    )
