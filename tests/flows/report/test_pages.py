"""Pages of runs and scenes in Prefect's UI."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.config import SceneConfig
from flows.report.run_page import run_page
from flows.report.scene_page import scene_page
from flows.runs.record import RunRecord, save_run
from flows.stages.pipeline import SceneArtefacts
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.store import NamedArray, Store

COLOURS = {
    "photo": (200, 30, 30),
    "splat": (30, 160, 30),
    "refine": (30, 30, 200),
    "distil": (220, 200, 40),
}
"""Of the pictures of every held-out photo."""


def evaluation(tmp_path: Path, size: tuple[int, int], *, noise: bool = False) -> ArrayHandle:
    """As the last stage leaves it: four held-out photos, and what three stages show from there.

    Args:
        size: height and width.
    """
    rng = np.random.default_rng(0)
    arrays = []
    for number in range(4):
        for kind, colour in COLOURS.items():
            pixels = np.full((*size, 3), colour, np.uint8)
            if noise:
                pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            arrays.append(
                NamedArray(name=f"{kind}_{number:04d}", values=pixels, dims=("y", "x", "rgb"))
            )
    names = [f"{number}|<b>.jpg" for number in range(4)]
    views = [
        {"view": name, "stage": stage, "split": "held_out", "psnr_db": 20.0 + number}
        for number, name in enumerate(names)
        for stage in ("splat", "refine", "distil")
    ]
    store = Store(root=str(tmp_path / "store"))
    return store.commit("hall", "evaluation", arrays, {"views": views, "rendered": names})


def pictures_in(markdown: str) -> list[Image.Image]:
    found = re.findall(r"!\[\]\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)", markdown)
    return [Image.open(io.BytesIO(base64.b64decode(text, validate=True))) for text in found]


def test_a_scene_page_has_each_photo_beside_the_render_of_every_stage(tmp_path: Path) -> None:
    artefacts = SceneArtefacts(evaluation=evaluation(tmp_path, (90, 120)))
    page = scene_page("hall", "one", {"state": "completed", "psnr_db": 21.5}, artefacts)
    pictures = pictures_in(page["markdown"])
    assert len(pictures) == 3
    for picture in pictures:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        height, width = pixels.shape[:2]
        shown = [pixels[height * y // 10, width * x // 10] for y in (3, 8) for x in (3, 8)]
        np.testing.assert_allclose(shown, list(COLOURS.values()), atol=12)


@pytest.mark.parametrize("size", [(90, 120), (1600, 300), (300, 1600), (1200, 1200)])
def test_a_scene_page_is_below_100_kb_for_any_photos(tmp_path: Path, size: tuple[int, int]) -> None:
    row = {"state": "completed", "psnr_db": 21.5, "rejected": "x.jpg: cut off; " * 100_000}
    artefacts = SceneArtefacts(evaluation=evaluation(tmp_path, size, noise=True))
    page = scene_page("hall", "one", row, artefacts)
    assert len(page["markdown"].encode()) < 100_000
    pictures = pictures_in(page["markdown"])
    assert len(pictures) == 3
    assert all(min(picture.size) > 60 for picture in pictures)


def test_a_scene_page_says_what_was_used_of_the_input() -> None:
    row = {"state": "completed", "inputs": "cameras: given by sparse/1; masks: of 1 of 2 photos"}
    markdown = scene_page("hall", "one", row, SceneArtefacts())["markdown"]
    assert "What was used: cameras: given by sparse/1; masks: of 1 of 2 photos." in markdown


def test_a_scene_page_has_the_report_titles_and_omits_missing_figures() -> None:
    row = {"state": "completed", "photos": 24, "psnr_db": 20.0, "refined_psnr_db": 20.5}
    markdown = scene_page("hall", "one", row, SceneArtefacts())["markdown"]
    figures = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", markdown, re.MULTILINE))
    figures.pop("figure")
    assert figures == {"photos": "24", "PSNR dB": "20.00", "refined +dB": "+0.50"}
    assert "nan" not in markdown


def test_the_page_of_a_failed_scene_names_the_cause_and_the_run() -> None:
    row = {"state": "failed", "error_message": "2 photos |\nare <b>too few; add photos"}
    page = scene_page("hall", "one", row, SceneArtefacts())
    assert page["description"] == "failed in one"
    assert "**failed** in the run one: 2 photos \\| are &lt;b>too few" in page["markdown"]


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Store, RunRecord]:
    store = Store(root=str(tmp_path / "store"))
    scenes = ("[a](b)", "dead", "fine", "poor")
    record = RunRecord(
        run="one",
        dataset="/photos",
        only=(),
        scenes=scenes,
        config=SceneConfig().model_dump(mode="json"),
        created_at="2026-01-01",
    )
    save_run(store, record)
    figures = {"photos": 24, "psnr_db": 27.0, "refined_psnr_db": 27.5, "gaussians": 9, "seconds": 1}
    for scene in ("fine", "[a](b)"):
        write_rows(
            store, "scenes", run="one", scene=scene, rows=[{"state": "completed", **figures}]
        )
    ends = {"poor": {"state": "failed", "seconds": 1.0}, "dead": {"state": "crashed"}}
    for scene, end in ends.items():
        row = {**end, "error_type": "E", "error_message": f"why {scene} ended"}
        write_rows(store, "scenes", run="one", scene=scene, rows=[row])
    return store, record


def test_a_run_page_has_tables_that_fit_the_ui_of_prefect(
    mixed: tuple[Store, RunRecord],
) -> None:
    markdown = run_page(*mixed)["markdown"]
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)]
    assert len(tables) == 3  # nothing is known of cameras
    for table in tables:
        assert len(table) == 2 + 4
        assert len({re.sub(r"\\.", "", line).count("|") for line in table}) == 1
        assert table[0].count("|") - 1 <= 7
    titles = [line.split("|")[3:-1] for line in (table[0] for table in tables)]
    assert [title.strip() for row in titles for title in row] == [
        *("photos", "PSNR dB", "seconds"),
        "refined +dB",
        "Gaussians",
    ]


def test_a_run_page_lists_failures_before_the_tables_and_links_to_scenes(
    mixed: tuple[Store, RunRecord],
) -> None:
    page = run_page(*mixed)
    before, *_ = page["markdown"].partition("| scene |")
    assert "2 of 4 scenes completed" in before
    assert "- poor failed: why poor ended" in before
    assert "- dead crashed: why dead ended" in before
    assert page["description"] == "one: 2 of 4 scenes completed"
    links = dict(re.findall(r"\[((?:\\.|[^\]])+)\]\(\.\./key/([a-z0-9-]+)\)", page["markdown"]))
    row = {"state": "completed"}
    assert links == {
        "fine": scene_page("fine", "one", row, SceneArtefacts())["key"],
        "poor": scene_page("poor", "one", row, SceneArtefacts())["key"],
        "\\[a\\](b)": scene_page("[a](b)", "one", row, SceneArtefacts())["key"],
    }


def test_a_scene_page_names_wrong_poses() -> None:
    row = {"state": "completed", "poses_right": 14, "poses_wrong": 2, "poses_missing": 0}
    row["poses_remark"] = "wrong poses: a|b.jpg, c.jpg"
    page = scene_page("hall", "one", row, SceneArtefacts())
    assert "| right / wrong / missing | 14 / 2 / 0 |" in page["markdown"]
    assert "Against the reference cameras: wrong poses: a\\|b.jpg, c.jpg." in page["markdown"]
