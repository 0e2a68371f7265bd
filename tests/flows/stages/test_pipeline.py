"""The pipeline: which stages run, on what, and what becomes of their artefacts."""

import json
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from flows.config import STAGES, SceneConfig
from flows.stages.pipeline import SceneArtefacts, find_source, reconstruct
from storage.handles import ArrayHandle
from storage.store import Store
from tasks.caching import stage_key
from tasks.config import overridden
from tasks.ingest.task import INGEST
from tasks.refine.config import RefineConfig, Reproject
from tasks.refine.task import REFINE
from tasks.splat.config import EveryNth, TrainOn
from tasks.splat.task import ENSEMBLE, SPLAT
from tasks.stage import Stage
from tasks.views.config import ViewsConfig

LIBRARIES = ["diffusers", "gsplat", "numba", "numpy", "pillow", "scipy", "torch", "transformers"]
HANDLE = ArrayHandle(uri="nowhere", kind="photos", digest="0" * 64)


class Recorder:
    """A run that computes nothing: every stage gives a handle that depends on its key."""

    def __init__(self, folder: Path, photos: int = 9) -> None:
        names = [f"{index}.jpg" for index in range(photos)]
        store = Store(root=str(folder / "store"))
        infos = [{"name": name} for name in names]
        self.committed = {
            INGEST: store.commit("hall", "photos", [], {"photos": infos}),
            SPLAT: store.commit("hall", "splat", [], {"training": names}),
        }
        self.keys: list[tuple[str, str]] = []
        self.inputs: dict[str, dict[str, Any]] = {}

    def __call__(self, stage: Stage, **inputs: Any) -> ArrayHandle:
        key = stage_key(stage, "hall", inputs, "cpu")
        self.keys.append((stage.name, key))
        self.inputs[stage.name] = inputs
        digest = sha256(key.encode()).hexdigest()
        made = replace(HANDLE, kind=stage.artefact, digest=digest)
        return self.committed.get(stage, made)


def made_by(recorder: Recorder, folder: Path, changes: dict[str, Any]) -> SceneArtefacts:
    config = overridden(SceneConfig(), changes, where="it")
    return reconstruct(recorder, find_source(folder, config, ()), config)


def refine_key(folder: Path, changes: dict[str, Any]) -> str:
    """Key of the refine stage of a scene whose artefacts are the same, whatever made them."""
    config = overridden(SceneConfig(), {"stages": {"until": "refine"}} | changes, where="it")
    keys: dict[str, str] = {}
    splat = Recorder(folder).committed[SPLAT]

    def look_up(stage: Stage, **inputs: Any) -> ArrayHandle:
        keys[stage.name] = stage_key(stage, "hall", inputs, "cpu")
        if stage is SPLAT:
            return splat
        return replace(HANDLE, kind=stage.artefact, digest=64 * stage.name[0])

    reconstruct(look_up, find_source(folder, config, ()), config)
    return keys["refine"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    return tmp_path


def test_the_refine_key_includes_the_splat_only_for_joint_refinement(
    folder: Path,
) -> None:
    (folder / "small.safetensors").write_bytes(b"weights")
    weights = {"kind": "small", "file": "small.safetensors"}
    alone = {"refine": {"refiner": {"kind": "controlnet", "weights": weights}}}
    joint = {"refine": {"refiner": {**alone["refine"]["refiner"], "joint": {}}}}
    other = {"refine": {"refiner": {**alone["refine"]["refiner"], "joint": {"steps": 5}}}}
    longer = {"splat": {"iterations": 5}}

    assert refine_key(folder, alone) == refine_key(folder, alone | longer)
    keys = [refine_key(folder, one) for one in (alone, joint, other, joint | longer)]
    assert len(set(keys)) == 4


def test_the_refine_key_of_single_views_matches_a_key_computed_by_hand(folder: Path) -> None:
    parts = {
        "scene": "hall",
        "stage": "refine",
        "version": REFINE.version,
        "libraries": {name: version(name).split("+")[0] for name in LIBRARIES},
        "device": "cpu",
        "inputs": {
            "sparse": {"kind": "sparse", "digest": 64 * "s"},
            "views": {"kind": "views", "digest": 64 * "v"},
            "ensemble": [],
            "views_config": ViewsConfig().model_dump(mode="json"),
            "weights": None,
            "config": RefineConfig(refiner=Reproject()).model_dump(mode="json"),
        },
    }
    digest = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    changes = {"refine": {"refiner": {"kind": "reproject"}}}
    assert refine_key(folder, changes) == f"refine-{digest}"


@pytest.mark.parametrize(("photos", "members"), [(4, 3), (9, 0)])
def test_the_ensemble_of_few_photos_is_fitted_separately_and_refines_views(
    folder: Path, photos: int, members: int
) -> None:
    recorder = Recorder(folder, photos)

    made = made_by(recorder, folder, {})

    own = {key for name, key in recorder.keys if name == "ensemble"}
    assert len(own) == members
    assert not own & {key for name, key in recorder.keys if name == "splat"}
    for stage in ("refine", "evaluate"):
        kinds = [one.kind for one in recorder.inputs[stage]["ensemble"]]
        assert kinds == ["ensemble"] * members
    assert len(made.ensemble) == members
    skipped = {"control", "distil"} if photos > 6 else set()
    assert len(list(made)) == len(STAGES) - 1 - len(skipped) + members
    assert skipped.isdisjoint(recorder.inputs)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ({}, "ingest sfm splat views refine control distil evaluate"),
        ({"without": ["distil"]}, "ingest sfm splat views refine evaluate"),
        ({"without": ["views"]}, "ingest sfm splat evaluate"),
        ({"until": "sfm"}, "ingest sfm"),
    ],
)
def test_only_configured_stages_run(folder: Path, stages: dict[str, Any], expected: str) -> None:
    recorder = Recorder(folder)
    made_by(recorder, folder, {"stages": stages, "distil": {"max_training_photos": 9}})
    assert [name for name, _ in recorder.keys] == expected.split()
    if "evaluate" in recorder.inputs:
        assert (recorder.inputs["evaluate"]["refinement"] is None) == (
            "views" not in recorder.inputs
        )


def test_artefacts_hold_all_ensemble_members_and_the_last_of_other_stages() -> None:
    handles = [replace(HANDLE, digest=letter * 64) for letter in "abcd"]
    made = SceneArtefacts.of(
        [(SPLAT, handles[0]), (ENSEMBLE, handles[1]), (ENSEMBLE, handles[2]), (SPLAT, handles[3])]
    )
    assert made.splat == handles[3]
    assert made.ensemble == (handles[1], handles[2])
    assert set(made) == {handles[1], handles[2], handles[3]}


def test_own_poses_come_from_the_photos_that_the_splat_is_fitted_to(folder: Path) -> None:
    recorder = Recorder(folder)
    split = {"kind": "every_nth", "n": 4, "offset": 1, "validation": 1}
    made_by(recorder, folder, {"protocol": "own-poses", "split": split})
    expected = tuple(f"{index}.jpg" for index in (0, 2, 3, 4, 6, 7, 8))
    assert recorder.inputs["sfm"]["training"] == expected
    assert recorder.inputs["splat"]["split"] == TrainOn(photos=expected, validation=1)
    shared = Recorder(folder)
    made_by(shared, folder, {"split": split})
    assert "training" not in shared.inputs["sfm"]
    assert shared.inputs["splat"]["split"] == EveryNth(n=4, offset=1, validation=1)
