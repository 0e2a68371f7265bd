"""Rows of the table of poses: what the references say, and what the reconstruction says."""

from pathlib import Path

import numpy as np

from storage.metrics import read_table, write_rows
from storage.store import NamedArray, Store
from tasks.evaluate.poses import PoseEvidence, pose_rows, read_evidence
from tasks.metrics.poses import pose_errors
from tests.support.stray_cameras import planted, turns_of

SCENE = planted(np.random.default_rng(0).uniform(-1, 1, (10, 3)), turns_of(10), 2, seed=1)
NAMES = SCENE.reference.names


def test_each_photo_has_one_row_that_says_right_wrong_or_missing() -> None:
    missing = next(index for index in range(10) if index not in SCENE.strays)
    model = SCENE.model.select([index for index in range(10) if index != missing])
    photos = [*NAMES, "without reference.jpg"]

    rows = pose_rows(photos, pose_errors(SCENE.reference, model), PoseEvidence())

    assert [row["view"] for row in rows] == photos
    expected = ["wrong" if index in SCENE.strays else "right" for index in range(10)]
    expected[missing] = "missing"
    assert [row["verdict"] for row in rows] == [*expected, None]
    for row in rows:
        errors = (row["rotation_error_deg"], row["centre_error"], row["centre_error_relative"])
        if row["verdict"] in ("right", "wrong"):
            within = row["rotation_error_deg"] <= 5 and row["centre_error_relative"] <= 0.05
            assert within == (row["verdict"] == "right")
        else:
            assert errors == (None, None, None)
        assert (row["pose_confidence"], row["sure"], row["left_out"]) == (None, None, None)


def test_without_an_alignment_poses_are_wrong_and_have_no_errors() -> None:
    scene = planted(SCENE.reference.centres, turns_of(10), 10)
    rows = pose_rows(NAMES, pose_errors(scene.reference, scene.model), PoseEvidence())
    assert {row["verdict"] for row in rows} == {"wrong"}
    assert {row["rotation_error_deg"] for row in rows} == {None}


def test_a_pose_without_a_second_is_neither_right_nor_wrong() -> None:
    errors = pose_errors(SCENE.reference, SCENE.model.select([0]))
    rows = pose_rows(NAMES, errors, PoseEvidence())
    assert [row["verdict"] for row in rows] == [None, *["missing"] * 9]


def test_confidence_of_poses_is_read_from_the_reconstruction(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    confidence = np.array([0.75, 0.25], dtype=np.float32)
    array = NamedArray(name="pose_confidence", values=confidence, dims=("camera",))
    attributes = {
        "names": ["b.jpg", "a.jpg"],
        "sure": [True, False],
        "left_out": [["c.jpg", "no match"]],
    }
    evidence = read_evidence(store.commit("hall", "sparse", [array], attributes))

    rows = pose_rows(("a.jpg", "b.jpg", "c.jpg"), None, evidence)

    assert [(row["pose_confidence"], row["sure"], row["left_out"]) for row in rows] == [
        (0.25, False, None),
        (0.75, True, None),
        (None, None, "no match"),
    ]
    assert {row["verdict"] for row in rows} == {None}


def test_the_table_keeps_every_column(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    evidence = PoseEvidence(confidence={NAMES[0]: 0.5}, sure={NAMES[0]: True})
    errors = pose_errors(SCENE.reference, SCENE.model)
    for number, known in enumerate((evidence, PoseEvidence())):
        rows = pose_rows(NAMES, errors, known)
        write_rows(store, "poses", run="r", scene=f"hall {number}", rows=rows)
        found = read_table(store, "poses")
        found = found[found["scene"] == f"hall {number}"]
        assert found["verdict"].tolist() == [row["verdict"] for row in rows]
        assert found["sure"].notna().sum() == len(known.sure or {})
        assert found["pose_confidence"].sum() == sum(known.confidence.values())


def test_given_poses_are_not_assessed(tmp_path: Path) -> None:
    attributes = {"names": ["a.jpg", "b.jpg"], "sure": None, "left_out": [["c.jpg", "no pose"]]}
    evidence = read_evidence(Store(root=str(tmp_path)).commit("hall", "sparse", [], attributes))
    assert (evidence.confidence, evidence.sure) == ({}, None)
    assert evidence.left_out == {"c.jpg": "no pose"}
