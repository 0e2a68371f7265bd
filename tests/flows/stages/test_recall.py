"""Recall of a scene whose stages all have records: every artefact is verified."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import SceneConfig
from flows.stages.pipeline import find_source, reconstruct
from flows.stages.recall import RecalledScene, recall
from storage.handles import ArrayHandle
from storage.store import NamedArray, Store
from tasks.caching import stage_key
from tasks.config import overridden
from tasks.sfm.world_frame import unchanged
from tasks.stage import Stage
from tests.support.stored_runs import record

UNTIL_ENSEMBLE = {"stages": {"until": "ensemble"}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(root=str(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "hall"
    made.mkdir()
    (made / "a.jpg").write_bytes(b"photo")
    return made


def run_all(store: Store, folder: Path, config: SceneConfig) -> list[ArrayHandle]:
    """Commit and record an artefact for every stage; with four training photos."""
    attributes: dict[str, Any] = {
        "photos": ["a.jpg"],
        "rejected": [],
        "used": [],
        "names": ["a.jpg"],
        "protocol": "shared-poses",
        "reprojection_error_px": 0.5,
        "sure": [True],
        "left_out": [],
        "rungs": [],
        "pairing": "exhaustive",
        "world": unchanged("model").attributes(),
        "training": list("abcd"),
        "held_out": [],
        "gaussians": 1,
    }

    def commit(stage: Stage, **inputs: Any) -> ArrayHandle:
        key = stage_key(stage, "hall", inputs, "cpu")
        names = ("iteration", "loss", "gaussians", "held_out_psnr_db")
        arrays = [
            NamedArray(name=f"curve_{name}", values=np.zeros(1), dims=("point",)) for name in names
        ]
        handle = store.commit("hall", stage.artefact, arrays, {**attributes, "key": key})
        record(store, key, handle)
        return handle

    return list(reconstruct(commit, find_source(folder, config, ()), config))


def recalled(store: Store, folder: Path, config: SceneConfig) -> RecalledScene | None:
    return recall(folder, "hall", config, store=store, device="cpu", roots=())


def test_a_complete_scene_is_recalled_with_its_ensemble(store: Store, folder: Path) -> None:
    config = overridden(SceneConfig(), UNTIL_ENSEMBLE, where="it")
    handles = run_all(store, folder, config)
    found = recalled(store, folder, config)
    assert found is not None
    assert list(found.artefacts) == handles
    assert len(found.artefacts.ensemble) == config.ensemble.count == 3
    assert [row["stage"] for row in found.stages] == ["ingest", "sfm", "splat", *3 * ["ensemble"]]


@pytest.mark.parametrize("index", range(6))
def test_a_scene_with_a_damaged_artefact_is_not_recalled(
    store: Store, folder: Path, index: int
) -> None:
    config = overridden(SceneConfig(), UNTIL_ENSEMBLE, where="it")
    handle = run_all(store, folder, config)[index]
    chunk = Path(handle.uri) / "curve_loss" / "c" / "0"
    chunk.write_bytes(chunk.read_bytes() + b"x")
    assert recalled(store, folder, config) is None


def test_a_scene_with_another_config_is_not_recalled(store: Store, folder: Path) -> None:
    config = overridden(SceneConfig(), UNTIL_ENSEMBLE, where="it")
    run_all(store, folder, config)
    other = overridden(config, {"splat": {"iterations": 7}}, where="it")
    assert recalled(store, folder, other) is None
