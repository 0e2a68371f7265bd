"""Selection of the given cameras that are used without estimation."""

from typing import Any

import numpy as np
import pytest

from storage.store import NamedArray
from tasks.errors import InputError
from tasks.ingest.artefact import Photos
from tasks.sfm.artefact import poses_of, source_photos
from tasks.sfm.config import SfmConfig
from tests.support.ingested import InMemory

POSE = np.diag([1.0, -1.0, -1.0, 1.0])


def stored_photos(reference_kind: str | None) -> Photos:
    """Two photos; the second has a camera, where any has."""
    photo = np.zeros((4, 6, 3), dtype=np.uint8)
    arrays = [
        NamedArray(name="photo_0000", values=photo, dims=("y", "x", "c")),
        NamedArray(name="photo_0001", values=photo + 1, dims=("y", "x", "c")),
        NamedArray(name="mask_0000", values=np.ones((4, 6), dtype=bool), dims=("y", "x")),
        NamedArray(name="reference_camera_from_world", values=POSE[None], dims=("n", "r", "c")),
        NamedArray(name="reference_intrinsics", values=np.eye(3)[None], dims=("n", "r", "c")),
    ]
    given = reference_kind is not None
    lens = {"model": "OPENCV", "params": [1.0, 1.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0]}
    attributes: dict[str, Any] = {
        "kind": "photos",
        "photos": [
            {
                "name": name,
                "camera": "c",
                "focal_px": None,
                "gps": None,
                "source_size": [6, 4],
                "size": [6, 4],
            }
            for name in ("a.jpg", "b.jpg")
        ],
        "rejected": [],
        "used": [],
        "reference_kind": reference_kind,
        "reference_names": ["b.jpg"] if given else [],
        "reference_lenses": [lens] if given else [],
        "reference_ignored": [],
        "mask_names": ["a.jpg"],
        "depth_names": [],
        "depth_scale_m": 0.001,
    }
    stored = InMemory()
    stored.add_all(arrays)
    stored.attributes = attributes
    return Photos(stored)


@pytest.mark.parametrize(
    ("reference_kind", "asked", "expected"),
    [
        (None, "auto", "estimated"),
        (None, "estimate", "estimated"),
        ("cameras_gt", "auto", "estimated"),
        ("cameras_gt", "given", "given"),
        ("colmap", "auto", "given"),
        ("colmap", "estimate", "estimated"),
        ("transforms", "auto", "given"),
        ("transforms", "given", "given"),
    ],
)
def test_ground_truth_cameras_are_only_compared_and_model_cameras_are_used(
    reference_kind: str | None, asked: Any, expected: str
) -> None:
    assert poses_of(stored_photos(reference_kind), SfmConfig(poses=asked)) == expected


def test_given_poses_without_cameras_are_refused() -> None:
    with pytest.raises(InputError, match="none of the 2 photos came with a camera"):
        poses_of(stored_photos(None), SfmConfig(poses="given"))


def test_photos_are_loaded_with_their_cameras_and_masks() -> None:
    first, second = source_photos(stored_photos("colmap"))

    assert first.given is None
    assert first.mask is not None
    assert second.mask is None
    assert second.given is not None
    np.testing.assert_array_equal(second.given.camera_from_world, POSE)
    assert second.given.camera_model.model == "OPENCV"
    assert second.given.camera_model.params == (1.0, 1.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("asked", ["auto", "given"])
def test_given_poses_are_none_of_the_training_photos_own(asked: str) -> None:
    photos, config = stored_photos("colmap"), SfmConfig.model_validate({"poses": asked})
    with pytest.raises(InputError, match=r"set sfm\.poses to 'estimate', or the protocol"):
        poses_of(photos, config, own_poses=True)
    estimate = SfmConfig(poses="estimate")
    assert poses_of(photos, estimate, own_poses=True) == "estimated"
