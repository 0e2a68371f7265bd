"""The examples of ``docs/architecture.md``, applied to a copy of the code and run there."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import median_filter

from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tests.support.commands import output_of
from tests.support.documents import ROOT, apply_blocks, section

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the code, with what is compiled of it."""
    for package in ("flows", "tasks", "storage"):
        shutil.copytree(ROOT / package, tmp_path / "code" / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "code")
    return tmp_path / "code"


def run_python(code: Path, program: str, *arguments: str | Path, **variables: str) -> str:
    environment = {"PYTHONPATH": f"{code}:{ROOT}", "PATH": "/usr/bin:/bin", **variables}
    return output_of(
        sys.executable, "-c", program, *arguments, cwd=code.parent, environment=environment
    )


def test_the_stage_counts_grey_levels(
    code: Path, command_environment: dict[str, str], photographed: Path, tmp_path: Path
) -> None:
    touched = apply_blocks(section(DOCUMENT, "### A stage"), code)
    assert len(touched) == 7  # as the text says: four new files, three edits
    store, options = tmp_path / "store", ("--stages.until", "histogram", "--histogram.bins", "32")
    main = "from flows.cli import main; main()"
    variables = command_environment | {"PYTHONPATH": str(code)}
    run_python(code, main, "scene", photographed, *options, "--store", store, **variables)

    rows = read_table(Store(root=str(store)), "stages").set_index("stage")
    assert rows["state"].to_dict() == {"ingest": "completed", "histogram": "completed"}
    uri, digest = rows.loc["histogram", ["uri", "digest"]]
    stored = ArrayHandle(uri=uri, kind="histogram", digest=digest).array("counts")
    photos = [np.array(Image.open(file)) for file in photographed.glob("images/*")]
    assert len(photos) == 8
    grey = np.stack(photos) @ np.array([0.299, 0.587, 0.114])
    expected, _ = np.histogram(np.floor(grey + 1e-9), bins=32, range=(0, 256))
    np.testing.assert_array_equal(stored, expected)


def test_the_refiner_is_a_median_filter(code: Path, tmp_path: Path) -> None:
    touched = apply_blocks(section(DOCUMENT, "### A refiner"), code)
    assert len(touched) == 3
    program = """
import sys
import tomllib
import numpy as np
from tasks.refine.config import RefineConfig
from tasks.refine.select import refiner_for
from tests.support.view_batches import a_batch, noise

render = noise(2, 40, 56, 3, seed=5)
config = RefineConfig.model_validate({"refiner": {"kind": "median", "radius": 2}})
found = refiner_for(config)(a_batch(2, render=render))
np.savez(sys.argv[1], render=render, image=found.image, weight=found.weight)
"""
    run_python(code, program, tmp_path / "found.npz")
    found = np.load(tmp_path / "found.npz")
    expected = median_filter(found["render"], size=(1, 5, 5, 1), mode="nearest")
    np.testing.assert_array_equal(found["image"], expected)
    np.testing.assert_allclose(found["weight"], 0.3)  # the confidence of a made-up batch


def test_the_feature_types_are_those_of_sift(
    code: Path, photographed: Path, tmp_path: Path
) -> None:
    touched = apply_blocks(section(DOCUMENT, "### A feature type"), code)
    assert len(touched) == 3
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, file in enumerate(sorted(photographed.glob("images/*"))[:2]):
        Image.open(file).save(photos / f"{number:06d}.png")  # here: pycolmap runs without Pillow
    program = """
import sys
import tomllib
from pathlib import Path
import numpy as np
import pycolmap
from tasks.sfm.config import SfmConfig
from tasks.sfm.exchange import Request, SharedCamera
from tasks.sfm.database import write_photo_list
from tasks.sfm.sift import extract_features
from tasks.sfm.sift_cache import SiftCache

request = Request(
    folder=Path(sys.argv[1]),
    config=SfmConfig(features={"kind": "sift", "variant": sys.argv[2]}),
    cameras=(SharedCamera(width=320, height=240, focal_px=None),),
    camera_of_photo=(0, 0),
)
write_photo_list(request, request.database)
extract_features(request, SiftCache.of(request), lambda share, doing: None)
database = pycolmap.Database.open(str(request.database))
np.savez(
    request.folder / sys.argv[2],
    keypoints=database.read_keypoints(1),
    descriptors=getattr(database.read_descriptors(1), "data", database.read_descriptors(1)),
)
request.database.unlink()
"""
    found = {}
    for features in ("plain", "upright", "dsp"):
        run_python(code, program, tmp_path, features)
        found[features] = dict(np.load(tmp_path / f"{features}.npz"))
        assert len(found[features]["keypoints"]) > 100
    # Columns: x, y, then the shape [[a11 a12] [a21 a22]], a scaled rotation.
    assert np.any(found["plain"]["keypoints"][:, 3] != 0)
    assert np.all(found["upright"]["keypoints"][:, 3] == 0)
    assert np.any(found["dsp"]["keypoints"][:, 3] != 0)
    sift, pooled = found["plain"]["descriptors"], found["dsp"]["descriptors"]
    assert sift.shape != pooled.shape or np.any(sift != pooled)


def test_the_orders_of_imports_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = {one["name"]: one.get("layers", []) for one in contracts["contracts"]}
    assert layers["flows > tasks > storage"] == ["flows", "tasks", "storage"]
    assert "`flows` imports `tasks`, which imports `storage`" in DOCUMENT
    for package in ("flows", "tasks"):
        (line,) = re.findall(rf"^- {package}: (.*\n(?:  .*\n)*)", DOCUMENT, re.MULTILINE)
        there = [layer for layer in layers[f"Order of {package}"] if layer[0] != "("]
        assert re.findall(r"\w+", line.replace("values", "")) == re.findall(r"\w+", " ".join(there))


def test_every_folder_that_is_named_is_there() -> None:
    table = section(DOCUMENT, "## Layers").split("| folder |")[1]
    named = [name.strip("` ") for line in table.splitlines()[2:] for name in line.split("|")[1:2]]
    places = [place.strip("` ") for name in named for place in name.split(",")]
    missing = [place for place in places if "<" not in place and not (ROOT / place).exists()]
    assert places
    assert missing == []
