"""Estimate of a run's time and disk space, shown before it begins.

Each stage's time is proportional to its work, which follows from the config and the number of
photos (:class:`tasks.stage.Stage`). Seconds for a unit of work come from earlier runs in the store;
where there are none, from two cores of a common server.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from flows.config import STAGES, SceneConfig
from flows.runs.manifest import SceneEntry
from flows.runs.record import all_runs
from storage.errors import IntegrityError
from storage.metrics import read_table
from storage.store import Store
from tasks.config import overridden
from tasks.errors import InputError
from tasks.ingest.folder import PHOTO_SUFFIXES, files_below, is_video
from tasks.ingest.listing import find_photos
from tasks.splat.config import EveryNth
from tasks.stage import SceneSize, Stage

LARGE_PHOTO = (6000, 4000)
"""Size taken for a photo whose header cannot be read."""
FRAME = (1920, 1080)
"""Size taken for a frame of a video."""
SECONDS_BESIDE = 6.0
"""A scene's process, its start and its pages, beside the stages."""
SECONDS_ON_TWO_CORES: Mapping[str, float] = {stage.name: stage.seconds for stage in STAGES}
"""For one unit of each stage's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cost of a run of which nothing is cached."""

    scenes: int
    photos: int
    seconds: float | None
    """On this machine; None where nothing is known of its speed."""
    size: int
    """Of the results, bytes."""
    measured: bool
    """Whether every stage's time is that of earlier runs."""


def estimate(
    entries: Sequence[SceneEntry],
    rates: Mapping[str, float],
    *,
    max_concurrent: int,
    fallback: Mapping[str, float] | None = SECONDS_ON_TWO_CORES,
) -> Estimate:
    """Cost of the scenes together; scenes that will be refused cost nothing.

    Args:
        rates: seconds for one unit of a stage's work, of the stages that have run here before.
        at_once: scenes at a time.
        fallback: rates of the other stages; None for a machine of unknown speed.
    """
    scenes = [scene for entry in entries if (scene := _size_of(entry)) is not None]
    known = {**(fallback or {}), **rates}
    needed = {stage.name for scene in scenes for stage in _stages(scene)}
    seconds = None
    if needed <= set(known):
        each = [
            SECONDS_BESIDE + sum(known[stage.name] * stage.work(scene) for stage in _stages(scene))
            for scene in scenes
        ]
        seconds = max([sum(each) / max_concurrent, *each], default=0.0)
    return Estimate(
        scenes=len(scenes),
        photos=sum(scene.photos for scene in scenes),
        seconds=seconds,
        size=round(sum(stage.size(scene) for scene in scenes for stage in _stages(scene))),
        measured=needed <= set(rates),
    )


def rates_of(store: Store, latest: int = 100) -> Mapping[str, float]:
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
        stages = read_table(store, "stages")
        scenes = read_table(store, "scenes", columns=("run", "scene", "photos"))
    except IntegrityError:  # 'unseen verify' names it; an estimate is no place to stop
        return {}
    rows = stages[~stages["cached"].astype(bool) & (stages["state"] == "completed")]
    rows = rows.merge(scenes[["run", "scene", "photos"]], on=["run", "scene"])
    rows = rows[rows["run"].isin(list(configs)) & (rows["photos"] > 0)]
    # A stage of several parts has a row for each.
    parts = rows.groupby(["run", "scene", "stage"], as_index=False)
    rows = parts.agg({"seconds": "sum", "photos": "first", "written_at": "max"})
    rates: dict[str, float] = {}
    for stage in STAGES:
        own = rows[rows["stage"] == stage.name].sort_values("written_at").tail(latest)
        each = [
            seconds / work
            for run, photos, seconds in zip(own["run"], own["photos"], own["seconds"], strict=True)
            if (work := stage.work(_scene_size(int(photos), (1, 1), configs[run])))
        ]
        if each:
            rates[stage.name] = float(np.median(each))
    return rates


def describe(found: Estimate, room: int | None) -> list[str]:
    """The estimate in one line; a second one warns where the results do not fit.

    Args:
        room: free bytes on the store's disk; None where unknown.
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


def _stages(scene: SceneSize) -> list[Stage]:
    """The stages that have something to do."""
    runs = scene.config.stages.runs
    return [stage for stage in STAGES if runs(stage) and stage.work(scene)]


def _size_of(entry: SceneEntry) -> SceneSize | None:
    """The size of a scene; None of one that will be refused."""
    if entry.error is not None:
        return None
    folder, frames = Path(entry.folder), entry.config.ingest.video.frames
    try:
        if is_video(folder):
            return _scene_size(frames, FRAME, entry.config)
        photos = list(find_photos(folder))
        if not photos:
            files = list(files_below(folder))
            videos = sum(map(is_video, files))
            photos = [file for file in files if file.suffix.lower() in PHOTO_SUFFIXES]
            if not photos:
                return _scene_size(videos * frames, FRAME, entry.config) if videos else None
    except InputError:
        return None
    return _scene_size(len(photos), _photo_size(photos[0]), entry.config)


def _scene_size(photos: int, size: tuple[int, int], config: SceneConfig) -> SceneSize:
    split = config.split
    if isinstance(split, EveryNth):
        training = photos - math.ceil(photos / split.n)
    else:
        training = len(split.photos)
    width, height = size
    return SceneSize(photos=photos, training=training, width=width, height=height, config=config)


def _photo_size(photo: Path) -> tuple[int, int]:
    try:
        with Image.open(photo) as opened:
            return opened.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return LARGE_PHOTO


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
