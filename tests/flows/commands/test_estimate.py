"""Estimated time and space of a run, against rows and photos of known size."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.commands.estimate import SECONDS_BESIDE, Estimate, describe, estimate, rates_of
from flows.config import SceneConfig, StagesConfig
from flows.runs.manifest import SceneEntry, find_scenes
from flows.runs.record import RunRecord, save_run
from storage.metrics import write_rows
from storage.store import Store
from tasks.config import overridden
from tasks.distil.config import DistilConfig
from tasks.errors import InputError
from tasks.splat.config import SplatConfig, TrainOn
from tasks.splat.ensemble import EnsembleConfig
from tasks.splat.task import GAUSSIANS

UNTIL_SPLAT = SceneConfig(
    stages=StagesConfig(until="splat"), splat=SplatConfig(iterations=1000, max_size=400)
)


def photograph(folder: Path, count: int, size: tuple[int, int] = (80, 60)) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", size).save(folder / f"{index}.png")


def entries(dataset: Path, config: SceneConfig = UNTIL_SPLAT) -> tuple[SceneEntry, ...]:
    return find_scenes(dataset, config)


def have_run(store: Store, run: str, config: SceneConfig, **seconds: float) -> None:
    """A scene of 10 photos, its stages as long as said."""
    record: dict[str, Any] = {"dataset": "/photos", "only": (), "scenes": ("a",)}
    created = f"2026-01-01T00:00:{len(run):02}"
    save_run(
        store,
        RunRecord(run=run, config=config.model_dump(mode="json"), created_at=created, **record),
    )
    stages = [
        {"stage": stage, "seconds": took, "cached": False, "state": "completed"}
        for stage, took in seconds.items()
    ]
    recalled = {"stage": "sfm", "seconds": 0.01, "cached": True, "state": "completed"}
    failed = {"stage": "sfm", "seconds": 999.0, "cached": False, "state": "failed"}
    write_rows(store, "stages", run=run, scene="a", rows=[*stages, recalled, failed])
    write_rows(store, "scenes", run=run, scene="a", rows=[{"state": "completed", "photos": 10}])


def test_time_is_proportional_to_earlier_runs(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path / "store"))
    # The same work took half, as much and twice the usual.
    for factor in (0.5, 1.0, 2.0):
        took = {"ingest": 2 * factor, "sfm": 20 * factor, "splat": 100 * factor}
        have_run(store, f"run-{factor}", UNTIL_SPLAT, **took)
    photograph(tmp_path / "photos" / "a", 10)
    photograph(tmp_path / "photos" / "b", 20)
    rates = rates_of(store)

    again = estimate(entries(tmp_path / "photos"), rates, max_concurrent=1)
    assert (again.scenes, again.photos, again.measured) == (2, 30, True)
    # All pairs are matched, 45 of a and 190 of b; 15 cost as much as a photo beside them.
    before = 2 + 20 + 2 * 2 + 20 * (20 + 190 / 15) / (10 + 45 / 15)
    assert again.seconds == pytest.approx(before + 2 * 100 + 2 * SECONDS_BESIDE)

    longer = UNTIL_SPLAT.model_copy(update={"splat": SplatConfig(iterations=3000, max_size=800)})
    more = estimate(entries(tmp_path / "photos", longer), rates, max_concurrent=1)
    assert more.seconds == pytest.approx(before + 2 * 100 * 3 * 4 + 2 * SECONDS_BESIDE)


def test_joint_refinement_time_counts_every_view_in_every_step(tmp_path: Path) -> None:
    photograph(tmp_path / "a", 8)
    rates = {"ingest": 0.0, "sfm": 0.0, "splat": 0.0, "views": 0.0, "refine": 1.0}

    def seconds(**options: Any) -> float:
        changes = {"kind": "controlnet", "joint": options or None}
        config = overridden(
            SceneConfig(
                stages=StagesConfig(until="refine"),
                splat=SplatConfig(max_size=20),
                ensemble=EnsembleConfig(count=0),
            ),
            {"refine": {"refiner": changes}},
            where="it",
        )
        found = estimate(entries(tmp_path, config), rates, max_concurrent=1).seconds
        assert found is not None
        return found - SECONDS_BESIDE

    assert seconds() == pytest.approx(24 * 400)
    assert seconds(steps=20, strength=0.5) == pytest.approx(10 * 24 * 400)


@pytest.mark.parametrize(("photos", "ensemble"), [(8, 2), (9, 2), (10, 0)])
def test_the_ensemble_of_few_photos_adds_time_and_space(
    tmp_path: Path, photos: int, ensemble: int
) -> None:
    # Of 9 photos 7 are trained on, of 10 photos 8; siblings are fitted to 7 at most.
    photograph(tmp_path / "photos" / "a", photos)
    until = SceneConfig(
        stages=StagesConfig(until="refine"),
        splat=SplatConfig(iterations=1000, max_size=400),
        ensemble=EnsembleConfig(count=2, max_training_photos=7),
    )
    without = until.model_copy(update={"ensemble": EnsembleConfig(count=0)})
    store = Store(root=str(tmp_path / "store"))
    have_run(
        store,
        "before",
        until.model_copy(update={"ensemble": EnsembleConfig(count=2, max_training_photos=9)}),
    )
    rows = [
        {"stage": "ensemble", "seconds": took, "cached": False, "state": "completed"}
        for took in (30.0, 50.0)
    ]
    write_rows(store, "stages", run="before", scene="a", rows=rows)
    rates = {"ingest": 0.0, "sfm": 0.0, "splat": 0.0, "views": 0.0, "refine": 0.0}
    rates |= rates_of(store)
    found, bare = (
        estimate(entries(tmp_path / "photos", config), rates, max_concurrent=1)
        for config in (until, without)
    )
    assert found.measured
    assert found.seconds == pytest.approx(SECONDS_BESIDE + 40 * ensemble)
    batches = until.model_copy(update={"splat": until.splat.model_copy(update={"batch": 3})})
    longer = estimate(entries(tmp_path / "photos", batches), rates, max_concurrent=1)
    assert longer.seconds == pytest.approx(SECONDS_BESIDE + 3 * 40 * ensemble)
    splat_bytes = 4 * GAUSSIANS * (11 + 3 * 9)
    assert found.size - bare.size == ensemble * splat_bytes


def test_concurrent_scenes_share_the_time_but_none_is_faster_than_alone(tmp_path: Path) -> None:
    rates = {"ingest": 1.0, "sfm": 0.0, "splat": 0.0}
    for name, photos in (("a", 8), ("b", 8), ("c", 16)):
        photograph(tmp_path / name, photos)
    own = [8 + SECONDS_BESIDE, 8 + SECONDS_BESIDE, 16 + SECONDS_BESIDE]
    found = [
        estimate(entries(tmp_path), rates, max_concurrent=max_concurrent).seconds
        for max_concurrent in (1, 2, 3, 8)
    ]
    assert found == pytest.approx([sum(own), max(sum(own) / 2, own[2]), own[2], own[2]])


def test_without_earlier_runs_time_is_estimated_on_a_cpu_and_not_on_a_gpu(tmp_path: Path) -> None:
    photograph(tmp_path / "photos" / "a", 3)
    nothing = rates_of(Store(root=str(tmp_path / "store")))
    assert nothing == {}
    found = estimate(entries(tmp_path / "photos"), nothing, max_concurrent=1)
    assert found.seconds is not None
    assert not found.measured
    unknown = estimate(entries(tmp_path / "photos"), nothing, max_concurrent=1, fallback=None)
    assert unknown.seconds is None
    (line,) = describe(unknown, room=None)
    assert " s " not in line
    assert " min" not in line


def test_refused_and_empty_scenes_add_no_time_or_space(tmp_path: Path) -> None:
    photograph(tmp_path / "a", 3)
    (tmp_path / "empty").mkdir()
    bad = SceneEntry(name="bad", folder="/nowhere", config=UNTIL_SPLAT, error=InputError("no"))
    gone = SceneEntry(name="gone", folder=str(tmp_path / "gone"), config=UNTIL_SPLAT)
    found = estimate((*entries(tmp_path), bad, gone), {}, max_concurrent=1)
    assert (found.scenes, found.photos) == (1, 3)


def test_a_video_counts_as_its_number_of_selected_frames(tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "walk.mp4").write_bytes(b"never opened")
    found = estimate(entries(tmp_path), {}, max_concurrent=1)
    assert found.photos == UNTIL_SPLAT.ingest.video.frames


def test_space_is_that_of_the_photos_as_stored(tmp_path: Path) -> None:
    """Of 4 photos of 400 x 300 pixels kept at most 200 long, twice; nothing else differs."""
    photograph(tmp_path / "small" / "a", 4, (400, 300))
    photograph(tmp_path / "none" / "a", 1, (1, 1))
    config = UNTIL_SPLAT.model_copy(
        update={"ingest": UNTIL_SPLAT.ingest.model_copy(update={"max_size": 200})}
    )
    with_photos, without = (
        estimate(entries(tmp_path / name, config), {}, max_concurrent=1).size
        for name in ("small", "none")
    )
    assert with_photos - without == pytest.approx(4 * 200 * 150 * 3 * 2, abs=100)


def test_every_photo_outside_training_is_scored(tmp_path: Path) -> None:
    photograph(tmp_path / "a", 16, (100, 100))
    config = SceneConfig(ensemble=EnsembleConfig(count=0))
    every = config.model_copy(update={"distil": DistilConfig(max_training_photos=16)})
    few = every.model_copy(update={"split": TrainOn(photos=("0.png", "1.png"))})
    sizes = [
        estimate(entries(tmp_path, config), {}, max_concurrent=1).size for config in (every, few)
    ]
    assert sizes[1] - sizes[0] == (14 - 2) * 100 * 100 * 5 * 3


def test_too_little_free_space_is_reported() -> None:
    asked = Estimate(scenes=3, photos=60, seconds=600, size=3 * 2**30, measured=True)
    (line,) = describe(asked, room=5 * 2**30)
    assert line.startswith("3 scenes, 60 photos: about 10 min and 3.0 GiB of 5.0 GiB free")
    _, warning = describe(asked, room=2**30)
    assert "only 1.0 GiB are free" in warning
