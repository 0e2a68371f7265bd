"""A dataset of which each scene meets a fault of its own: named, kept apart, and mended by resume.

The scenes have the same photos, so a run in which nothing happens tells with one of them what all
must end with: digests are of contents, not of names.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from storage.names import object_name
from tests.faults.conftest import FAST, Faulty

pytestmark = pytest.mark.slow

AT_ONCE = ("--max-concurrent", "3")
"""More than the cores of small machines: faults of the machine are tried again after a while."""
DIED = ("crashed", "ProcessDied", "other scenes are not affected")
ENDS = {
    "killed": DIED,
    "terminated": DIED,
    "segfault": DIED,
    "ended silently": ("crashed", "ProcessDied", "its process died without a report"),
    "killed before the commit": DIED,
    "killed after the commit": DIED,
    "killed fit": DIED,
    "damaged checkpoint": DIED,
    "damaged record": DIED,
    "mistake": ("failed", "ZeroDivisionError", "a mistake of ours"),
    "memory": ("failed", "MemoryError", ""),
    "large files": ("failed", "StoreError", "File too large"),
    "full disk": ("failed", "NoResult", "No space left on device"),
    "read-only folder": ("failed", "StoreError", "Permission denied"),
    "numbers lost": ("failed", "InputError", "are not finite"),
    "hang": ("failed", "TimeLimitError", "the stage sfm has gone on for 8 s"),
    "native hang": ("crashed", "TimeLimitError", "status code: -14"),
    "mapper killed": ("failed", "MachineError", "probably because the machine ran out of memory"),
    "flipped byte": ("failed", "IntegrityError", "expected sha256"),
    "deleted chunk": ("failed", "IntegrityError", "is missing"),
    "damaged rows": ("failed", "IntegrityError", "some rows were damaged"),
    "vanished photos": ("failed", "InputError", "none of the 8 files"),
    "vanished photo": ("failed", "InputError", "changed while they were read"),
    "cut-off sidecar": ("failed", "InputError", "cameras_gt.json"),
    "one name": ("failed", "InputError", "2 scenes are named 'one name'"),
}
"""State, type of error and a part of the message of each scene that cannot complete."""
OVERCOME = ("clock behind", "mapper crashed")
"""These complete all the same."""
UNDISTURBED = "undisturbed"
CUT_OFF_PHOTO = "cut-off photo"
"""Completes with a photo less."""
SCENES = (*ENDS, *OVERCOME, UNDISTURBED, CUT_OFF_PHOTO)
OF_THE_DATASET = ("cut-off sidecar", "one name")
"""Faults that are there before the run."""

STAGES = ("ingest", "sfm", "splat")
FITTED = (UNDISTURBED, "killed fit", "damaged checkpoint", "numbers lost")
MAPPED = (
    *("segfault", "damaged record", "damaged rows", "hang", "native hang"),
    *("mapper killed", "mapper crashed", "flipped byte", "deleted chunk"),
)
DAMAGED = ("flipped byte", "deleted chunk")
"""Scenes whose photos in the store stay damaged until they are resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What is seen after a command."""

    code: int
    said: str
    scenes: pd.DataFrame
    stages: pd.DataFrame
    verified: tuple[int, list[str]]
    """Exit status of ``unseen verify``, and its lines."""

    def digests(self, scene: str) -> dict[str, str]:
        of_scene: dict[str, str] = self.stages["digest"].loc[scene].to_dict()
        return of_scene


def chapter(story: Faulty, ended: "subprocess.CompletedProcess[str]") -> Chapter:
    verified = story.unseen("verify")
    return Chapter(
        code=ended.returncode,
        said=ended.stdout + ended.stderr,
        scenes=story.scenes(),
        stages=story.stages(),
        verified=(verified.returncode, verified.stdout.splitlines()),
    )


def stages_of(scene: str) -> tuple[str, ...]:
    return STAGES[: 3 if scene in FITTED else 2 if scene in MAPPED else 1]


def write_manifest(story: Faulty, *scenes: str, others: tuple[dict[str, object], ...] = ()) -> None:
    """Of some scenes, each with the stages that its fault needs, and of other entries."""
    few_points = {"init": {"kind": "points"}}
    entries = [
        {
            "folder": scene,
            "config": {"stages": {"until": stages_of(scene)[-1]}, "splat": few_points},
        }
        for scene in scenes
    ]
    content = yaml.safe_dump({"scenes": [*entries, *others]})
    (story.photos / "dataset.yaml").write_text(content)


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def records_of(story: Faulty, scene: str) -> list[Path]:
    """The records of a scene's finished stages."""
    place = f"/scenes/{object_name(scene)}/"
    cache = story.root / "store" / "cache"
    return [path for path in cache.iterdir() if place in json.loads(path.read_text())["result"]]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, photographed: Path, faulty: Callable[[Path], Faulty]
) -> Chapter:
    story = faulty(tmp_path_factory.mktemp("undisturbed"))
    for scene in (UNDISTURBED, CUT_OFF_PHOTO):
        shutil.copytree(photographed, story.photos / scene)
    cut_off(min((story.photos / CUT_OFF_PHOTO / "images").iterdir()))
    write_manifest(story, UNDISTURBED, CUT_OFF_PHOTO)
    return chapter(story, story.unseen("run", str(story.photos), *AT_ONCE, *FAST))


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, photographed: Path, faulty: Callable[[Path], Faulty]
) -> Faulty:
    made = faulty(tmp_path_factory.mktemp("faults"))
    for scene in SCENES:
        shutil.copytree(photographed, made.photos / scene)
    cut_off(made.photos / "cut-off sidecar" / "cameras_gt.json")
    cut_off(min((made.photos / CUT_OFF_PHOTO / "images").iterdir()))
    write_manifest(made, *SCENES, others=({"folder": UNDISTURBED, "name": "one name"},))
    return made


@pytest.fixture(scope="module")
def disturbed(story: Faulty) -> Chapter:
    return chapter(story, story.unseen("run", str(story.photos), "--name", "it", *AT_ONCE, *FAST))


@pytest.fixture(scope="module")
def resumed(story: Faulty, disturbed: Chapter, photographed: Path) -> Chapter:
    """What people must mend is mended, and what is half done is damaged."""
    write_manifest(story, *SCENES)
    for scene in ("cut-off sidecar", "vanished photos", "vanished photo"):
        shutil.copytree(photographed, story.photos / scene, dirs_exist_ok=True)
    (story.root / "store" / "scenes" / object_name("read-only folder")).chmod(0o700)
    (record,) = records_of(story, "damaged record")
    cut_off(record)
    key = (story.root / "met" / "damaged checkpoint").read_text()
    checkpoint = story.root / "store" / "checkpoints" / key
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    return chapter(story, story.unseen("resume", *AT_ONCE))


def test_scenes_without_faults_complete(disturbed: Chapter) -> None:
    assert disturbed.code == 1
    assert sorted(disturbed.scenes.index) == sorted(SCENES)
    good = disturbed.scenes.loc[[*OVERCOME, UNDISTURBED, CUT_OFF_PHOTO]]
    assert set(good["state"]) == {"completed"}, disturbed.said
    assert good["error_type"].isna().all()


def test_every_injected_fault_occurred(story: Faulty, disturbed: Chapter) -> None:
    met = {path.name for path in (story.root / "met").iterdir()}
    assert met >= {*ENDS, *OVERCOME, "mapper crashed, child"} - set(OF_THE_DATASET)


@pytest.mark.parametrize("scene", ENDS)
def test_a_scene_that_failed_by_its_fault_is_named_with_the_cause(
    disturbed: Chapter, scene: str
) -> None:
    row = disturbed.scenes.loc[scene]
    state, error_type, message = ENDS[scene]
    assert (row["state"], row["error_type"]) == (state, error_type), row["error_message"]
    assert message in row["error_message"]
    assert scene in disturbed.said


def test_transient_faults_are_reported_by_the_number_of_attempts(
    disturbed: Chapter,
) -> None:
    assert disturbed.stages.loc[("mapper crashed", "sfm"), "attempt"] == 2


def test_an_unreadable_photo_is_named(disturbed: Chapter) -> None:
    row = disturbed.scenes.loc[CUT_OFF_PHOTO]
    assert (row["photos"], row["photos_rejected"]) == (7, 1)


def test_verification_names_exactly_the_damaged_objects(disturbed: Chapter) -> None:
    code, lines = disturbed.verified
    assert code == 1
    assert sorted(line.split(":")[0] for line in lines) == sorted(
        f"photos of scene '{scene}'" for scene in DAMAGED
    )


def test_resume_completes_every_scene(resumed: Chapter) -> None:
    assert resumed.code == 0, resumed.said
    assert set(resumed.scenes["state"]) == {"completed"}


@pytest.mark.parametrize("scene", SCENES)
def test_after_resume_every_scene_equals_an_undisturbed_one(
    undisturbed: Chapter, resumed: Chapter, scene: str
) -> None:
    twin = undisturbed.digests(CUT_OFF_PHOTO if scene == CUT_OFF_PHOTO else UNDISTURBED)
    assert resumed.digests(scene) == {stage: twin[stage] for stage in stages_of(scene)}


def test_after_resume_the_store_is_intact_without_partial_writes(
    story: Faulty, resumed: Chapter
) -> None:
    assert resumed.verified == (0, ["no faults found"])
    assert story.staged() == []
    assert list((story.root / "store" / "checkpoints").iterdir()) == []
