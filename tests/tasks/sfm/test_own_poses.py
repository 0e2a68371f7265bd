"""Poses from the training photos alone; the others are localised afterwards."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.metrics.poses import pose_errors
from tasks.runtime.context import Context
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.config import Sift
from tasks.sfm.reconstruct import Reconstruction, SourcePhoto, reconstruct
from tests.tasks.sfm.conftest import photos_of, reference_of

CONFIG = SfmConfig(features=Sift(max_features=2048))
COUNT = 6
HELD_OUT = (1, 4)


def reconstructed(photos: Iterator[SourcePhoto], folder: Path) -> Reconstruction:
    names = reference_of("fountain_p11").names[:COUNT]
    return reconstruct(
        photos,
        CONFIG,
        work_folder=folder,
        training=[name for index, name in enumerate(names) if index not in HELD_OUT],
        context=Context(threads=1),
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    photos = photos_of("fountain_p11", limit=COUNT)
    return reconstructed(photos, tmp_path_factory.mktemp("own"))


def test_localised_photos_agree_with_the_survey(found: Reconstruction) -> None:
    reference = reference_of("fountain_p11")
    assert found.cameras.names == reference.names[:COUNT]
    assert found.localised == tuple(reference.names[index] for index in HELD_OUT)
    assert found.model_sizes == (COUNT - len(HELD_OUT),)

    errors = pose_errors(reference.select(range(COUNT)), found.cameras)

    assert errors.rotation_error_deg.max() < 1.0
    assert errors.centre_error_relative.max() < 0.01


def test_points_are_seen_by_the_training_photos_alone(found: Reconstruction) -> None:
    assert not np.isin(found.observations.photo_index, HELD_OUT).any()
    assert np.isin(found.matches.photo_index, HELD_OUT).any()


def test_held_out_photos_do_not_affect_poses_and_points(
    found: Reconstruction, tmp_path: Path
) -> None:
    def other_content() -> Iterator[SourcePhoto]:
        rng = np.random.default_rng(0)
        for index, photo in enumerate(photos_of("fountain_p11", limit=COUNT)):
            noise = rng.integers(0, 256, photo.pixels.shape, dtype=np.uint8)
            yield replace(photo, pixels=noise) if index in HELD_OUT else photo

    other = reconstructed(other_content(), tmp_path)

    training = [index for index in range(COUNT) if index not in HELD_OUT]
    assert other.unregistered == tuple(found.cameras.names[index] for index in HELD_OUT)
    ours, theirs = found.cameras.select(training), other.cameras
    assert ours.names == theirs.names
    np.testing.assert_array_equal(ours.camera_from_world, theirs.camera_from_world)
    np.testing.assert_array_equal(ours.intrinsics, theirs.intrinsics)
    np.testing.assert_array_equal(found.points, other.points)


def test_too_few_training_photos_are_refused(tmp_path: Path) -> None:
    photos, one = photos_of("fountain_p11", limit=4), reference_of("fountain_p11").names[:1]
    with pytest.raises(InputError, match="1 photo was given and structure from motion needs"):
        reconstruct(photos, CONFIG, work_folder=tmp_path, training=one)
