"""Focal lengths that the mappers start from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tasks.cameras import CameraModel
from tasks.sfm.config import SfmConfig
from tasks.sfm.database import write_photo_list
from tasks.sfm.exchange import Request, SharedCamera
from tasks.sfm.ladder import starts
from tasks.sfm.mappers import scaled_guesses

GUESSED = SharedCamera(width=640, height=480, focal_px=None)
BY_EXIF = SharedCamera(width=640, height=480, focal_px=500.0)
GIVEN = SharedCamera(
    width=640,
    height=480,
    focal_px=None,
    camera_model=CameraModel(model="PINHOLE", params=(510.0, 520.0, 320.0, 240.0)),
)


def request_of(folder: Path, *cameras: SharedCamera, mapper: str = "auto") -> Request:
    """Two photos of each camera."""
    return Request(
        folder=folder,
        config=SfmConfig.model_validate({"mapper": mapper}),
        cameras=cameras,
        camera_of_photo=tuple(np.repeat(np.arange(len(cameras)), 2).tolist()),
    )


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_only_guesses_are_scaled_and_only_meanwhile(factor: float, tmp_path: Path) -> None:
    request, database = request_of(tmp_path, GUESSED, BY_EXIF, GIVEN), tmp_path / "photos.db"
    write_photo_list(request, database)

    def focal_lengths() -> list[float]:
        opened = pycolmap.Database.open(str(database))
        cameras = sorted(opened.read_all_cameras(), key=lambda camera: camera.camera_id)
        opened.close()
        return [camera.focal_length_x for camera in cameras]

    before = focal_lengths()
    assert before == pytest.approx([1.2 * 640, 500.0, 510.0])
    with scaled_guesses(request, database, factor):
        assert focal_lengths() == pytest.approx([factor * 1.2 * 640, 500.0, 510.0])
    assert focal_lengths() == before


def test_models_of_guessed_focal_lengths_start_from_different_guesses(tmp_path: Path) -> None:
    first, second, *_ = starts(request_of(tmp_path, GUESSED, BY_EXIF))
    assert first.focal_factor != second.focal_factor
    assert first.mapper != second.mapper
    assert {one.focal_factor for one in starts(request_of(tmp_path, BY_EXIF, GIVEN))} == {1.0}


def test_a_guess_of_photos_that_are_not_mapped_does_not_count(tmp_path: Path) -> None:
    request = request_of(tmp_path, BY_EXIF, GUESSED)
    assert {one.focal_factor for one in starts(replace(request, training=(0, 1)))} == {1.0}


def test_the_mapper_that_is_asked_for_comes_first_and_the_other_checks_it(tmp_path: Path) -> None:
    pairs = (("incremental", "global"), ("hierarchical", "global"), ("global", "incremental"))
    for mapper, other in pairs:
        first, second, *_ = starts(request_of(tmp_path, BY_EXIF, mapper=mapper))
        assert (first.mapper, second.mapper) == (mapper, other)
