"""A scene's figures, from artefacts as the stages commit them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import SceneConfig, StagesConfig
from flows.stages.pipeline import SceneArtefacts
from flows.stages.rows import selection_of, summary_of
from storage.metrics import read_table, write_rows
from storage.store import NamedArray, Store
from tasks.metrics.poses import summarise_poses
from tests.support.stray_cameras import planted, turns_of

PHOTOS: dict[str, Any] = {
    "rejected": [],
    "used": ["cameras: given by sparse/1", "masks: of 1 of 2 photos"],
}


def test_what_was_used_of_the_input_is_in_the_scenes_row(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    photos = store.commit("attic", "photos", [], PHOTOS | {"photos": ["a", "b"]})
    row = {"state": "completed", **summary_of(SceneArtefacts(photos=photos))}
    write_rows(store, "scenes", run="r", scene="attic", rows=[row])
    found = read_table(store, "scenes")["inputs"].tolist()
    assert found == ["cameras: given by sparse/1; masks: of 1 of 2 photos"]


def test_rejected_views_are_counted_in_the_table(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    nothing = [NamedArray(name="none", values=np.zeros(1, np.uint8), dims=("none",))]
    artefacts = SceneArtefacts(
        photos=store.commit(
            "attic", "photos", nothing, {"photos": ["a", "b"], "rejected": [], "used": []}
        ),
        refined=store.commit(
            "attic", "refined", nothing, {"names": ["v", "w", "x"], "rejected": ["w"]}
        ),
    )

    row = {"state": "completed", **summary_of(artefacts)}
    write_rows(store, "scenes", run="r", scene="attic", rows=[row])

    found = read_table(store, "scenes")
    assert found["refined_views"].tolist() == [3]
    assert found["refined_views_rejected"].tolist() == [1]


def test_right_wrong_and_missing_poses_are_in_the_scenes_row(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    scene = planted(np.random.default_rng(0).uniform(-1, 1, (12, 3)), turns_of(12), 3, seed=1)
    names = scene.reference.names
    stray = names[scene.strays[0]]
    kept = [index for index in range(12) if index != scene.strays[1]]
    model = scene.model.select(kept)
    sure = {name: name == stray or name in names[:2] for name in model.names}
    sparse = {
        "protocol": "shared-poses",
        "names": list(model.names),
        "reprojection_error_px": 0.5,
        "sure": list(sure.values()),
        "left_out": [[names[scene.strays[1]], "matches no other photo"]],
        "pairing": "exhaustive",
        "world": {"upright": False, "metric": False, "residual_m": None},
    }
    evaluation: dict[str, Any] = {"views": [], "confidence": [], "geometry": []}
    evaluation["pose_summary"] = asdict(summarise_poses(scene.reference, model, sure=sure))
    artefacts = SceneArtefacts(
        photos=store.commit(
            "attic", "photos", [], {"photos": list(names), "rejected": [], "used": []}
        ),
        sparse=store.commit("attic", "sparse", [], sparse),
        evaluation=store.commit("attic", "evaluation", [], evaluation),
    )

    row = {"state": "completed", **summary_of(artefacts)}
    write_rows(store, "scenes", run="r", scene="attic", rows=[row])

    found = read_table(store, "scenes").iloc[0]
    assert found[["poses_right", "poses_wrong", "poses_missing"]].tolist() == [9, 2, 1]
    right_and_sure = len(set(names[:2]) - {names[index] for index in scene.strays})
    called = sum(sure.values())
    assert found[["poses_sure", "poses_sure_wrong"]].tolist() == [called, called - right_and_sure]
    assert stray in found["poses_remark"]
    assert found["left_out"] == f"{names[scene.strays[1]]}: matches no other photo"
    assert found["rotation_error_deg"] < 1
    assert found["centre_error_relative"] < 0.01
    assert found["pose_auc_1"] < found["pose_auc_3"] < found["pose_auc_5"] < 36 / 66


@pytest.mark.parametrize(
    ("training", "stages", "reason"),
    [
        (7, {}, "distillation is skipped above 6 training photos"),
        (4, {"without": ("distil",)}, "nothing was distilled"),
    ],
)
def test_the_table_says_why_the_fitted_splat_is_shown(
    tmp_path: Path, training: int, stages: dict[str, Any], reason: str
) -> None:
    names = [f"{index}.jpg" for index in range(training)]
    splat = Store(root=str(tmp_path)).commit("attic", "splat", [], {"training": names})
    config = SceneConfig(stages=StagesConfig(**stages))
    found = selection_of(SceneArtefacts(splat=splat), config)
    assert found == {"selected": "splat", "selected_because": reason}
