"""The record of a run and its tables, as they are read back, printed and written as markdown."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from flows.config import SceneConfig
from flows.report.table import COLUMNS, markdown_report, remarks_of, scene_rows, terminal_report
from flows.runs.record import RunRecord, load_run, new_run_name, save_run, unfinished_scenes
from storage.metrics import write_rows
from storage.store import Store
from tasks.errors import InputError

SCENES = ("[red]x", "a|b", "crashed", "failed", "later", "sparse")
FIGURES = {
    "photos": 24,
    "photos_rejected": 0,
    "registered_share": 1.0,
    "reprojection_error_px": 0.25,
    "training_photos": 21,
    "held_out_photos": 3,
    "gaussians": 45_545,
    "psnr_db": 27.125,
    "ssim": 0.875,
    "st_lpips": 0.312,
    "lpips": 0.25,
    "edge_energy": 0.71,
    "refined_st_lpips": 0.33,
    "distilled_st_lpips": 0.34,
    "refined_edge_energy": 0.52,
    "distilled_edge_energy": 0.55,
    "ensemble_psnr_db": 27.375,
    "control_psnr_db": 27.0,
    "refined_psnr_db": 27.625,
    "refined_share_worse": 0.25,
    "distilled_psnr_db": 27.5,
    "selected": "distilled",
    "confidence_spearman": 0.53,
    "confidence_ause": 0.36,
    "poses_right": 21,
    "poses_wrong": 2,
    "poses_missing": 1,
    "poses_sure": 20,
    "poses_sure_wrong": 1,
    "rotation_error_deg": 0.26,
    "centre_error_relative": 0.0018,
    "depth_error_relative": 0.019,
    "seconds": 44.7,
    "peak_memory_mib": 1979.0,
    "stages_cached": 1,
    "stages_computed": 3,
}


def record(run: str, *scenes: str, created_at: str = "2026-01-01") -> RunRecord:
    return RunRecord(
        run=run,
        dataset="/photos",
        only=(),
        scenes=scenes,
        config=SceneConfig().model_dump(mode="json"),
        created_at=created_at,
    )


def put_row(store: Store, run: str, scene: str, **row: object) -> None:
    write_rows(store, "scenes", run=run, scene=scene, rows=[row])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run with every kind of row, and one without: of the scene 'later'."""
    store = Store(root=str(tmp_path / "store"))
    save_run(store, record("mixed", *SCENES))
    put_row(store, "mixed", "[red]x", state="completed", **FIGURES)
    rejected = "a.jpg: truncated <after 5 bytes>"
    used = "cameras: given by sparse/1; masks: of 1 of 2 photos"
    put_row(store, "mixed", "a|b", state="completed", **FIGURES, rejected=rejected, inputs=used)
    put_row(store, "mixed", "sparse", state="completed", photos=6, psnr_db=None)
    why = "2 photos |\nare too few; add photos"
    put_row(store, "mixed", "failed", state="failed", error_type="E", error_message=why)
    put_row(store, "mixed", "crashed", state="crashed", error_type="E", error_message="[b]died[/b]")
    return store


def printed(store: Store, run: str, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal_report(store, run, console))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_run_record_is_read_back_unchanged(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    saved = record("été 1", "a", "b")
    save_run(store, saved)
    assert load_run(store, "été 1") == saved
    assert SceneConfig.model_validate(load_run(store).config) == SceneConfig()


def test_the_last_run_is_the_one_started_last(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    for run, created_at in (("b", "2026-02-02"), ("c", "2026-02-01"), ("a", "2026-02-03")):
        save_run(store, record(run, created_at=created_at))
    assert load_run(store).run == "a"
    assert load_run(store, "c").run == "c"


def test_a_record_of_an_older_version_is_read(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    save_run(store, record("old", "a"))
    file = tmp_path / "runs" / "old.json"
    fields = json.loads(file.read_text())
    del fields["folder"], fields["sha256"]  # as they were written then
    file.write_text(json.dumps(fields))
    assert load_run(store).folder is None


def test_an_unknown_run_is_refused_and_recent_runs_are_listed(store: Store) -> None:
    with pytest.raises(
        InputError, match=r"has no run 'mixd', did you mean 'mixed'\? The last ones are: mixed"
    ):
        load_run(store, "mixd")


def test_an_empty_store_is_refused_with_the_first_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist, .* start a run with 'unseen run'"):
        load_run(Store(root=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()


def test_scenes_that_did_not_complete_are_unfinished(store: Store) -> None:
    assert unfinished_scenes(store, load_run(store)) == ("crashed", "failed", "later")


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("photos", "photos"),
        ("photos/.", "photos"),
        ("photos/dataset.csv", "photos"),
        ("photos/mine.yaml", "mine.yaml"),
        ("photos/../photos", "photos"),
        ("/", "root"),
    ],
)
def test_a_run_is_named_by_dataset_and_time(tmp_path: Path, dataset: str, name: str) -> None:
    now = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    assert new_run_name(tmp_path / dataset, now) == f"{name}-20260504-030201"


def test_every_scene_of_the_run_has_a_row_in_order(store: Store) -> None:
    rows = scene_rows(store, "mixed")
    assert rows["scene"].tolist() == sorted(SCENES)
    assert rows.set_index("scene")["state"]["later"] == "no result yet"


def test_a_run_without_results_is_shown(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    save_run(store, record("new", "a", "b"))
    assert printed(store, "new", 80).count("no result yet") == 2
    assert markdown_report(store, "new").count("| no result yet |") == 2


@pytest.mark.parametrize("width", [40, 60, 80, 120, 440])
def test_the_table_fits_the_terminal_and_keeps_the_essential_columns(
    store: Store, width: int
) -> None:
    text = printed(store, "mixed", width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "PSNR dB" in text
    assert "27.12" in text
    if width >= 80:
        assert "[red]x" in text
        assert "SSIM" in text
        assert "0.875" in text
        assert "crashed (crashed)" in text
        assert "later (no result yet)" in text
    if width == 440:
        assert all(column.title in text for column in COLUMNS)
        assert "more columns" not in text
        assert "45,545" in text
        assert all(figure in text for figure in ("0.312", "0.330", "71%", "52%"))
        assert "21 / 3" in text
        assert "21 / 2 / 1" in text
        assert "20 (1 wrong)" in text
        assert "1 of 4" in text
        assert "+0.50" in text  # refined less splat, and distilled less control
        assert "+0.25" in text  # ensemble less splat
        assert "-0.12" in text  # control less splat


def test_wrong_poses_are_named_below_the_table(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path / "store"))
    save_run(store, record("poses", "hall", "yard"))
    remark = "wrong poses: a.jpg, b.jpg"
    counts = {"poses_right": 14, "poses_wrong": 2, "poses_missing": 0, "poses_sure": 15}
    put_row(store, "poses", "hall", state="completed", **counts, poses_remark=remark)
    put_row(store, "poses", "yard", state="completed", photos=6)
    text = markdown_report(store, "poses")
    assert "- hall: wrong poses: a.jpg, b.jpg" in text
    assert "| 14 / 2 / 0 | 15 |" in text


def test_a_narrow_table_notes_omitted_columns(store: Store) -> None:
    text = printed(store, "mixed", 80)
    headings = next(line for line in text.splitlines() if "PSNR dB" in line)
    shown = len(headings.split("┃")) - 3  # the scene's, and what is before and after them
    assert f"{len(COLUMNS) - shown} more columns" in text


def test_missing_figures_are_shown_as_dashes(store: Store) -> None:
    line = next(line for line in markdown_report(store, "mixed").splitlines() if "sparse" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:3] == ["sparse", "completed", "6"]
    assert set(cells[3:]) == {"-"}


def test_columns_without_any_figure_are_left_out(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    save_run(store, record("bare", "a"))
    put_row(store, "bare", "a", state="completed", photos=6)
    assert "SSIM dB" not in markdown_report(store, "bare").splitlines()[4]


def test_markdown_tables_have_as_many_cells_in_every_row(store: Store) -> None:
    lines = [line for line in markdown_report(store, "mixed").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(SCENES)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_remarks_give_failure_causes_and_skipped_photos(store: Store) -> None:
    text = markdown_report(store, "mixed")
    assert "- failed failed: 2 photos \\| are too few; add photos" in text
    assert "- a\\|b went on without a.jpg: truncated &lt;after 5 bytes>" in text
    assert "- a\\|b used cameras: given by sparse/1; masks: of 1 of 2 photos" in text
    assert len(remarks_of(scene_rows(store, "mixed"))) == 4


def test_only_scenes_of_the_record_are_reported(store: Store) -> None:
    save_run(store, record("mixed", "failed"))  # the run of that name was started anew
    assert scene_rows(store, "mixed")["scene"].tolist() == ["failed"]


def test_a_scene_whose_refined_views_were_all_rejected_says_so() -> None:
    row: dict[str, object] = {"scene": "a", "state": "completed", "refined_views": 4.0}
    row |= dict.fromkeys(("error_message", "inputs", "rejected", "poses_remark"))
    rows = pd.DataFrame([row | {"refined_views_rejected": count} for count in (4.0, 3.0, np.nan)])
    (remark,) = remarks_of(rows)
    assert remark.startswith("a: all 4 refined views were rejected")
