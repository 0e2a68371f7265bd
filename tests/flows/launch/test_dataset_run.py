"""A dataset with bad scenes, run, resumed, run again and damaged: what people rely on.

The fixtures are the chapters of one story, so that each process start is paid for once.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.runs.progress import scene_runs
from storage.metrics import read_table
from storage.store import Store
from tests.flows.conftest import FAST, Command

GOOD = ("front door", "été")
BAD = ("-empty", "garbled", "killed")
STAGES = [
    *("ingest", "sfm", "splat", "ensemble"),
    *("views", "refine", "control", "distil", "evaluate"),
]

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What a command left behind."""

    dataset: Path
    store: Path
    said: "subprocess.CompletedProcess[str]"
    scenes: pd.DataFrame
    stages: pd.DataFrame


def chapter(
    dataset: Path, store: Path, said: "subprocess.CompletedProcess[str]", run: str
) -> Chapter:
    scenes, stages = (read_table(Store(root=str(store)), name) for name in ("scenes", "stages"))
    return Chapter(
        dataset=dataset,
        store=store,
        said=said,
        scenes=scenes[scenes["run"] == run],
        stages=stages[stages["run"] == run],
    )


def kill_once(store: Path, scene: str) -> None:
    """SIGKILL the process of a scene when it has its cameras and fits its splat."""
    for _ in range(6000):
        rows = read_table(Store(root=str(store)), "stages")
        if ((rows["scene"] == scene) & (rows["stage"] == "sfm")).any():
            break
        time.sleep(0.05)
    for process in psutil.process_iter(["environ", "cmdline"]):
        environment = process.info["environ"] or {}
        # The run's engine, not the worker that waits for it.
        if environment.get("UNSEEN_STORE") == str(store) and "PREFECT__FLOW_RUN_ID" in environment:
            os.kill(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def first_run(
    tmp_path_factory: pytest.TempPathFactory, unseen: Command, photographed: Path
) -> Chapter:
    root = tmp_path_factory.mktemp("story")
    dataset, store = root / "photos", root / "store"
    for name in (*GOOD, "killed"):
        shutil.copytree(photographed, dataset / name)
    (dataset / "-empty").mkdir()
    (dataset / "-empty" / "notes.txt").touch()  # a folder of nothing at all is passed over
    (dataset / "garbled").mkdir()
    for index in range(4):
        (dataset / "garbled" / f"{index}.jpg").write_text("not a photo")
    killer = threading.Thread(target=kill_once, args=(store, "killed"), daemon=True)
    killer.start()
    said = unseen("run", dataset, "--store", store, "--name", "story", "--max-concurrent", 1, *FAST)
    killer.join(timeout=1)
    return chapter(dataset, store, said, "story")


@pytest.fixture(scope="module")
def resumed(first_run: Chapter, unseen: Command, photographed: Path) -> Chapter:
    """One bad scene is mended; the killed one has nothing to mend."""
    for photo in (photographed / "images").iterdir():
        shutil.copy(photo, first_run.dataset / "-empty")
    said = unseen("resume", "--store", first_run.store)
    return chapter(first_run.dataset, first_run.store, said, "story")


@pytest.fixture(scope="module")
def repeated(resumed: Chapter, unseen: Command) -> Chapter:
    said = unseen(
        "run", resumed.dataset, "--store", resumed.store, "--name", "again",
        "--scenes", *GOOD, *FAST,
    )  # fmt: skip
    return chapter(resumed.dataset, resumed.store, said, "again")


@pytest.fixture(scope="module")
def damaged(repeated: Chapter, unseen: Command) -> Chapter:
    """One chunk of one scene's splat is deleted."""
    splat = repeated.stages.query("scene == @GOOD[0] and stage == 'splat'").iloc[0]
    chunk = next(path for path in (Path(splat["uri"]) / "means" / "c").rglob("*") if path.is_file())
    chunk.unlink()
    said = unseen(
        "run", repeated.dataset, "--store", repeated.store, "--name", "mended",
        "--scenes", GOOD[0], *FAST,
    )  # fmt: skip
    return chapter(repeated.dataset, repeated.store, said, "mended")


def state_of(chapter: Chapter, scene: str) -> str:
    return str(chapter.scenes.set_index("scene")["state"][scene])


def error_of(chapter: Chapter, scene: str) -> str:
    return str(chapter.scenes.set_index("scene")["error_message"][scene])


def test_bad_scenes_do_not_affect_other_scenes(first_run: Chapter) -> None:
    assert first_run.said.returncode == 1, first_run.said.stderr
    assert sorted(first_run.scenes["scene"]) == sorted([*GOOD, *BAD])
    assert [state_of(first_run, name) for name in GOOD] == ["completed", "completed"]


def test_each_bad_scene_has_a_row_with_the_cause(first_run: Chapter) -> None:
    assert state_of(first_run, "-empty") == "failed"
    assert "holds no photo" in error_of(first_run, "-empty")
    assert state_of(first_run, "garbled") == "failed"
    assert "none of the 4 files" in error_of(first_run, "garbled")
    assert state_of(first_run, "killed") == "crashed"
    assert "process ended without a result" in error_of(first_run, "killed")


def test_the_command_names_the_bad_scenes_and_the_address_of_the_ui(first_run: Chapter) -> None:
    said = first_run.said.stdout
    assert all(name in said for name in BAD)
    assert "http://127.0.0.1:" in said


def test_time_and_space_are_estimated_before_the_run(first_run: Chapter, repeated: Chapter) -> None:
    found = re.search(
        r"^4 scenes, 28 photos: about (\S+) (?:s|min) and (\d+) MiB of .* free",
        first_run.said.stdout,
    )
    assert found, first_run.said.stdout
    taken = sum(file.stat().st_size for file in first_run.store.rglob("*") if file.is_file())
    assert taken < float(found[2]) * 2**20
    assert "as earlier runs here took" in repeated.said.stdout


def test_input_errors_are_not_retried(first_run: Chapter) -> None:
    garbled = first_run.stages.query("scene == 'garbled'")
    assert garbled["attempt"].tolist() == [1]


def test_good_scenes_are_scored_against_held_out_photos_and_exact_sidecars(
    first_run: Chapter,
) -> None:
    scored = first_run.scenes.set_index("scene").loc[GOOD[0]]
    assert scored["photos"] == 8
    assert scored["registered_share"] == 1.0
    assert (scored["training_photos"], scored["held_out_photos"]) == (7, 1)
    assert scored["psnr_db"] > 14  # a grey image gives about 12
    assert scored["centre_error_relative"] < 0.01
    assert scored["depth_error_relative"] < 0.2


def test_resume_computes_only_missing_results(first_run: Chapter, resumed: Chapter) -> None:
    assert resumed.said.returncode == 1  # garbled is still garbled
    assert state_of(resumed, "-empty") == "completed"
    assert state_of(resumed, "killed") == "completed"
    assert state_of(resumed, "garbled") == "failed"
    killed = resumed.stages.query("scene == 'killed'").set_index("stage")["cached"]
    assert killed[STAGES].tolist() == [True, True, *[False] * 7]
    before = first_run.scenes.set_index("scene")["written_at"]
    after = resumed.scenes.set_index("scene")["written_at"]
    assert (before[list(GOOD)] == after[list(GOOD)]).all(), "finished scenes were run again"


def test_a_second_run_computes_nothing(resumed: Chapter, repeated: Chapter) -> None:
    assert repeated.said.returncode == 0, repeated.said.stderr
    assert repeated.stages["cached"].all()
    assert len(repeated.stages) == len(GOOD) * len(STAGES)
    figures = ["scene", "psnr_db", "ssim", "gaussians", "depth_error_relative"]
    first = resumed.scenes[resumed.scenes["scene"].isin(GOOD)].sort_values("scene")[figures]
    second = repeated.scenes.sort_values("scene")[figures]
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))


def test_recalled_scenes_have_the_rows_of_computed_scenes(
    resumed: Chapter, repeated: Chapter
) -> None:
    for table in ("views", "gains", "confidence", "training", "poses", "geometry"):
        rows = read_table(Store(root=str(repeated.store)), table)
        rows = rows[rows["scene"].isin(GOOD)]
        before, after = (
            rows[rows["run"] == run].drop(columns=["run", "written_at"]).reset_index(drop=True)
            for run in ("story", "again")
        )
        assert len(after)
        pd.testing.assert_frame_equal(before, after)


def test_recalled_scenes_start_no_process_and_are_shown_as_completed(
    repeated: Chapter, api: str, api_password: str
) -> None:
    with SyncPrefectClient(api, auth_string=api_password) as client:
        runs = {one.name: one for one in scene_runs(client, "again")}
        by_run = ArtifactFilterFlowRunId(any_=[one.id for one in runs.values()])
        pages = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=by_run))
    assert sorted(runs) == sorted(GOOD)
    assert {one.run_count for one in runs.values()} == {0}
    assert {one.state_name for one in runs.values()} == {"Completed"}
    shown = {page.flow_run_id: str(page.data) for page in pages}
    for scene in GOOD:
        assert shown[runs[scene].id].startswith(f"# {scene}\n\n**completed** in the run again\n")


def test_a_deleted_chunk_recomputes_its_stage_to_the_same_bytes(
    repeated: Chapter, damaged: Chapter
) -> None:
    assert damaged.said.returncode == 0, damaged.said.stderr
    rows = damaged.stages.set_index("stage")
    assert rows["cached"][STAGES].tolist() == [True, True, False, *[True] * 6]
    before = repeated.stages.query("scene == @GOOD[0]").set_index("stage")["digest"]
    assert rows["digest"][STAGES].tolist() == before[STAGES].tolist()


def test_any_reader_of_the_files_has_each_scene_of_each_run_once(damaged: Chapter) -> None:
    files = damaged.store / "metrics" / "scenes" / "*.parquet"
    counted = duckdb.sql(f"SELECT run, scene, count(*) FROM '{files}' GROUP BY ALL").fetchall()
    assert {count for _, _, count in counted} == {1}
    assert {run for run, _, _ in counted} == {"again", "mended", "story"}
    assert len(counted) == len(read_table(Store(root=str(damaged.store)), "scenes"))


def test_no_partial_writes_are_left(damaged: Chapter) -> None:
    assert list((damaged.store / "staging").iterdir()) == []


def test_status_and_report_accept_a_named_run(damaged: Chapter, unseen: Command) -> None:
    status = unseen("status", "story", "--store", damaged.store)
    assert status.returncode == 0, status.stderr
    assert "garbled" in status.stdout
    report = unseen("report", "story", "--store", damaged.store, "--markdown", "-")
    assert report.returncode == 0, report.stderr
    assert report.stdout.count("| completed |") == 4
    assert "garbled failed: " in report.stdout


Copy = Callable[[Path], Path]


def test_two_scenes_with_the_same_name_are_refused_and_the_rest_runs(
    tmp_path: Path, unseen: Command, copy_of: Copy
) -> None:
    for folder in ("a", "b", "c"):
        copy_of(tmp_path / folder)
    (tmp_path / "dataset.yaml").write_text(
        "scenes:\n"
        "- {name: same, folder: a}\n"
        "- {name: same, folder: b}\n"
        "- {name: typo, folder: c, config: {splat: {iteration: 5}}}\n"
        "- {name: .., folder: c}\n"
        "- {name: fine, folder: c}\n"
    )
    store = tmp_path / "store"
    said = unseen("run", tmp_path, "--store", store, *FAST)
    assert said.returncode == 1
    rows = read_table(Store(root=str(store)), "scenes").set_index("scene")
    assert rows["state"].to_dict() == {
        "same": "failed",
        "typo": "failed",
        "..": "failed",
        "fine": "completed",
    }
    assert "2 scenes are named 'same'" in rows["error_message"]["same"]
    assert "did you mean 'iterations'" in rows["error_message"]["typo"]
