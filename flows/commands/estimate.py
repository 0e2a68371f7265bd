"""How long a run takes and how much room its results need, told before it begins.

Each stage's time is proportional to an amount of work that its config and the number of photos
tell. How long one unit takes is known from earlier runs in the store; where there are none, from
two cores of a common server.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, UnidentifiedImageError

from flows.config import SceneConfig, Stage, overridden
from flows.runs.manifest import SceneEntry
from flows.runs.record import all_runs
from storage.errors import IntegrityError
from storage.metrics import read_table
from storage.store import Store
from tasks.errors import InputError
from tasks.ingest.folder import PHOTO_SUFFIXES, files_below, find_photos, is_video
from tasks.splat.config import EveryNth

LARGE_PHOTO = (6000, 4000)
"""Size taken for a photo that cannot be asked."""
BYTES_OF_PHOTO = 6
"""For each pixel: as it was ingested, and undistorted."""
BYTES_OF_VIEW = 39
"""For each pixel: colours, depth, confidence, warped photos, and the repaired view."""
BYTES_OF_SCORED = 15
"""For each pixel of a held-out photo: it, and what each stage shows there."""
GAUSSIANS = 100_000
"""Of a common splat: it ends where gradients say, far below what memory would hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run asks for where nothing of it is cached."""

    scenes: int
    photos: int
    seconds: float | None
    """On this machine; None where nothing is known of its speed."""
    size: int
    """Of the results, bytes."""
    measured: bool
    """Whether every stage's time is that of earlier runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """As far as it tells how much there is to do."""

    photos: int
    width: int
    height: int
    """Of a photo as given."""
    config: SceneConfig


def _fitted_pixels(config: SceneConfig) -> float:
    return config.splat.max_size**2


def _of_a_fit(config: SceneConfig) -> float:
    return config.splat.iterations * config.splat.batch * _fitted_pixels(config)


def _ensemble(photos: int, config: SceneConfig) -> int:
    return len(config.ensemble_splats(photos - _held_out(photos, config)))


def _held_out(photos: int, config: SceneConfig) -> int:
    if isinstance(config.split, EveryNth):
        return math.ceil(photos / config.split.n)
    return photos - len(config.split.photos)


def _passes_per_view(photos: int, config: SceneConfig) -> float:
    """Of a refiner, at each; most take one of what each splat shows."""
    joint = config.refine.joint
    return joint.strength * joint.steps if joint else 1 + _ensemble(photos, config)


WORK: Mapping[Stage, Callable[[int, SceneConfig], float]] = {
    "ingest": lambda photos, config: photos,
    "sfm": lambda photos, config: photos,
    "splat": lambda photos, config: _of_a_fit(config),
    "ensemble": lambda photos, config: _ensemble(photos, config) * _of_a_fit(config),
    "views": lambda photos, config: config.views.count * _fitted_pixels(config),
    "refine": lambda photos, config: (
        config.views.count * _fitted_pixels(config) * _passes_per_view(photos, config)
    ),
    "control": lambda photos, config: config.distil.iterations * _fitted_pixels(config),
    "distil": lambda photos, config: config.distil.iterations * _fitted_pixels(config),
    "evaluate": lambda photos, config: photos * _fitted_pixels(config),
}
"""Of one scene, by its photos and config."""

SECONDS_ON_TWO_CORES: Mapping[Stage, float] = {
    "ingest": 0.03,
    "sfm": 0.6,
    "splat": 1e-7,
    "ensemble": 8e-8,
    "views": 1.3e-6,
    "refine": 9e-7,
    "control": 1.4e-7,
    "distil": 1.4e-7,
    "evaluate": 7e-7,
}
"""For one unit of work."""


SECONDS_BESIDE = 6.0
"""A scene's process, its start and its pages, beside the stages."""


def estimate(
    entries: Sequence[SceneEntry],
    rates: Mapping[Stage, float],
    *,
    max_concurrent: int,
    fallback: Mapping[Stage, float] | None = SECONDS_ON_TWO_CORES,
) -> Estimate:
    """What the scenes ask for together; bad ones ask for nothing.

    Args:
        rates: seconds for one unit of a stage's work, of the stages that have run here before.
        at_once: scenes at a time.
        fallback: rates of the other stages; None for a machine of unknown speed.
    """
    scenes = [scene for entry in entries if (scene := _scene_of(entry)) is not None]
    known = {**(fallback or {}), **rates}
    needed = {stage for scene in scenes for stage in _stages(scene)}
    seconds = None
    if needed <= set(known):
        each = [
            SECONDS_BESIDE
            + sum(known[stage] * WORK[stage](scene.photos, scene.config) for stage in stages)
            for scene in scenes
            for stages in [_stages(scene)]
        ]
        seconds = max([sum(each) / max_concurrent, *each], default=0.0)
    return Estimate(
        scenes=len(scenes),
        photos=sum(scene.photos for scene in scenes),
        seconds=seconds,
        size=sum(_size(scene) for scene in scenes),
        measured=needed <= set(rates),
    )


def rates_of(store: Store, latest: int = 100) -> Mapping[Stage, float]:
    """Median seconds for one unit of each stage's work, in what the store's last runs computed.

    Args:
        latest: rows of a stage that count.
    """
    configs = {}
    try:
        for record in all_runs(store):
            try:
                configs[record.run] = overridden(SceneConfig(), record.config, where=record.run)
            except InputError:  # of another version
                continue
        stages, scenes = read_table(store, "stages"), read_table(store, "scenes")
    except IntegrityError:  # 'unseen verify' names it; an estimate is no place to stop
        return {}
    rows = stages[~stages["cached"].astype(bool) & (stages["state"] == "completed")]
    rows = rows.merge(scenes[["run", "scene", "photos"]], on=["run", "scene"])
    rows = rows[rows["run"].isin(list(configs)) & (rows["photos"] > 0)]
    # A stage of several parts has a row for each.
    parts = rows.groupby(["run", "scene", "stage"], as_index=False)
    rows = parts.agg({"seconds": "sum", "photos": "first", "written_at": "max"})
    rates: dict[Stage, float] = {}
    for stage in get_args(Stage):
        own = rows[rows["stage"] == stage].sort_values("written_at").tail(latest)
        each = [
            seconds / work
            for run, photos, seconds in zip(own["run"], own["photos"], own["seconds"], strict=True)
            if (work := WORK[stage](photos, configs[run]))
        ]
        if each:
            rates[stage] = float(np.median(each))
    return rates


def told(found: Estimate, room: int | None) -> list[str]:
    """An estimate in a line, and a second one where the results do not fit.

    Args:
        room: bytes that are free where the store lies; None where nobody knows.
    """
    time = "" if found.seconds is None else f"about {_duration(found.seconds)} and "
    source = (
        "as earlier runs here took"
        if found.measured
        else "as two cores take; a run here will tell more"
    )
    free = "" if room is None else f" of {_gib(room)} free"
    lines = [
        f"{found.scenes} scenes, {found.photos} photos: {time}{_gib(found.size)}{free}, less what "
        f"is cached{'' if found.seconds is None else f' ({source})'}"
    ]
    if room is not None and found.size > room:
        lines.append(
            f"warning: the results may need {_gib(found.size)} and only {_gib(room)} are free, so "
            "scenes may fail for want of room; 'unseen gc' shows what can go"
        )
    return lines


def _stages(scene: _Scene) -> list[Stage]:
    """Those that have something to do."""
    config = scene.config
    stages = [stage for stage in get_args(Stage) if config.stages.runs(stage)]
    return [stage for stage in stages if WORK[stage](scene.photos, config)]


def _scene_of(entry: SceneEntry) -> _Scene | None:
    """None of a scene that will be refused."""
    if entry.error is not None:
        return None
    folder = Path(entry.folder)
    try:
        if is_video(folder):
            return _of_videos(1, entry.config)
        photos = list(find_photos(folder))
        if not photos:
            files = list(files_below(folder))
            videos = sum(map(is_video, files))
            photos = [file for file in files if file.suffix.lower() in PHOTO_SUFFIXES]
            if not photos:
                return _of_videos(videos, entry.config) if videos else None
    except InputError:
        return None
    width, height = _size_of(photos[0])
    return _Scene(photos=len(photos), width=width, height=height, config=entry.config)


def _of_videos(count: int, config: SceneConfig) -> _Scene:
    return _Scene(photos=count * config.ingest.video.frames, width=1920, height=1080, config=config)


def _size_of(photo: Path) -> tuple[int, int]:
    try:
        with Image.open(photo) as opened:
            return opened.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return LARGE_PHOTO


def _size(scene: _Scene) -> int:
    """Of the results of a scene, bytes; what compression saves is about what the rest takes."""
    config = scene.config
    photo = _pixels(scene, config.ingest.max_size)
    fitted = _pixels(scene, min(config.ingest.max_size, config.splat.max_size))
    splat = 4 * GAUSSIANS * (11 + 3 * (config.splat.sh_degree + 1) ** 2)
    runs = config.stages.runs
    splats = runs("splat") + runs("control") + runs("distil") + _ensemble(scene.photos, config)
    return round(
        scene.photos * photo * BYTES_OF_PHOTO
        + splat * splats
        + config.views.count * fitted * BYTES_OF_VIEW * runs("views")
        + _held_out(scene.photos, config) * photo * BYTES_OF_SCORED * runs("evaluate")
    )


def _pixels(scene: _Scene, longest: int) -> float:
    scale = min(1.0, longest / max(scene.width, scene.height))
    return scene.width * scene.height * scale**2


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
