"""Structure from motion on real photos, against surveyed poses; and where it must refuse."""

from pathlib import Path

import numpy as np
import pytest

from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.metrics.poses import pose_errors
from tasks.runtime.context import Context
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.config import Sift
from tasks.sfm.matches import Matches
from tasks.sfm.reconstruct import Reconstruction, SourcePhoto, reconstruct
from tasks.sfm.tracks import link_tracks
from tasks.sfm.triangulate import triangulate_tracks
from tasks.sfm.weights import weights_for
from tests.tasks.sfm.conftest import photos_of, posed_photos_of, projected, reference_of

TWO_THREADS = Context(threads=2)


@pytest.fixture(scope="module")
def fountain(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    return reconstruct(
        photos_of("fountain_p11"),
        SfmConfig(),
        work_folder=tmp_path_factory.mktemp("sfm"),
        context=TWO_THREADS,
    )


def reprojection_errors_px(
    cameras: Cameras, found: Reconstruction, points: np.ndarray
) -> np.ndarray:
    """Of each observation, by the projection written out."""
    seen = found.observations
    image = projected(cameras, seen.photo_index, points[seen.point_index])
    return np.linalg.norm(image - seen.xy, axis=1)


def test_the_cameras_agree_with_the_survey(fountain: Reconstruction) -> None:
    reference = reference_of("fountain_p11")
    assert fountain.cameras.names == reference.names
    assert fountain.unregistered == ()

    errors = pose_errors(reference, fountain.cameras)

    # The principal point is held at the image centre, 5 px off the true one: 0.3 deg and more.
    assert errors.rotation_error_deg.max() < 1.0
    assert errors.centre_error_relative.max() < 0.01
    focal = reference.intrinsics[0, 0, 0]
    np.testing.assert_allclose(fountain.cameras.intrinsics[:, 0, 0], focal, rtol=0.01)


def test_photos_cameras_and_tracks_are_consistent(fountain: Reconstruction) -> None:
    assert len(fountain.photos) == len(fountain.cameras) == 11
    sizes = [(photo.shape[1], photo.shape[0]) for photo in fountain.photos]
    np.testing.assert_array_equal(sizes, fountain.cameras.sizes)

    errors_px = reprojection_errors_px(fountain.cameras, fountain, fountain.points)

    assert errors_px.mean() == pytest.approx(fountain.reprojection_error_px, rel=0.25)
    assert np.percentile(errors_px, 99) < 4.0


def test_undistorted_photos_are_the_photos_without_black_borders(fountain: Reconstruction) -> None:
    # This lens hardly distorts, so each undistorted photo is nearly its original.
    for photo, source in zip(fountain.photos, photos_of("fountain_p11"), strict=True):
        height, width = photo.shape[:2]
        difference = photo.astype(float) - source.pixels[:height, :width]
        assert np.sqrt((difference**2).mean()) < 15
        for edge in (photo[0], photo[-1], photo[:, 0], photo[:, -1]):
            assert (edge.max(axis=1) == 0).mean() < 0.05


def test_tracks_of_some_photos_alone_give_nearly_the_mappers_points(
    fountain: Reconstruction,
) -> None:
    training = [index for index in range(11) if index % 8]
    cameras = fountain.cameras.select(training)

    tracks = link_tracks(cameras, fountain.matches.only(training))
    found = triangulate_tracks(cameras, tracks)

    assert len(found.points) > len(fountain.points)  # the mapper leaves out tracks of two photos
    theirs = fountain.observations
    place = {
        (photo, x, y): point
        for photo, (x, y), point in zip(
            theirs.photo_index.tolist(), theirs.xy.tolist(), theirs.point_index, strict=True
        )
    }
    ours = tracks.select(np.isin(tracks.point_index, found.tracks))
    common = [
        (position, place[photo, x, y])
        for photo, (x, y), position in zip(
            np.array(training)[ours.photo_index].tolist(),
            ours.xy.tolist(),
            np.searchsorted(found.tracks, ours.point_index),
            strict=True,
        )
        if (photo, x, y) in place
    ]
    assert len(common) > 0.8 * len(theirs.of_photos(training).xy)
    mine, mapped = np.array(common).T
    distance = np.linalg.norm(found.points[mine] - fountain.points[mapped], axis=1)
    extent = np.median(np.linalg.norm(fountain.points - np.median(fountain.points, 0), axis=1))
    assert np.median(distance) < 0.002 * extent


def test_matches_of_two_photos_do_not_depend_on_others(tmp_path: Path) -> None:
    config = SfmConfig(features=Sift(max_features=1024))
    found = []
    for count in (3, 5):
        folder = tmp_path / str(count)
        folder.mkdir()
        photos = posed_photos_of("fountain_p11", limit=count)
        found.append(
            reconstruct(
                photos, config, work_folder=folder, poses="given", context=Context(threads=1)
            )
        )
    few, many = found[0].matches, found[1].matches.only([0, 1, 2])

    def places(matches: Matches) -> set[tuple[float, ...]]:
        photos = matches.photo_index[matches.pairs]
        return set(map(tuple, np.hstack([photos, *matches.xy[matches.pairs.T]]).tolist()))

    assert len(few.pairs) > 200
    assert places(few) == places(many)


@pytest.mark.slow
def test_portrait_and_landscape_photos_of_one_phone_are_two_cameras(tmp_path: Path) -> None:
    found = reconstruct(
        photos_of("monstree"), SfmConfig(), work_folder=tmp_path, context=TWO_THREADS
    )

    assert len(found.cameras) == 23
    portrait = found.cameras.sizes[:, 0] < found.cameras.sizes[:, 1]
    assert 0 < portrait.sum() < 23
    focal = found.cameras.intrinsics[:, 0, 0]
    assert np.ptp(focal[portrait]) == np.ptp(focal[~portrait]) == 0
    assert focal[portrait][0] == pytest.approx(focal[~portrait][0], rel=0.02)


@pytest.mark.slow
def test_a_scene_that_sift_splits_is_joined_by_learned_features(tmp_path: Path) -> None:
    config = SfmConfig()
    found = reconstruct(
        photos_of("banana"),
        config,
        weights=weights_for(config, tmp_path),
        work_folder=tmp_path,
        context=TWO_THREADS,
    )
    assert [one.chosen for one in found.rungs].count(True) == 1
    assert found.rungs[0].sure < len(found.cameras)
    assert len(found.cameras) >= 15
    assert len(found.cameras) + len(found.unregistered) == 16
    assert found.left_out.keys() == set(found.unregistered)


@pytest.mark.slow
def test_one_thread_gives_equal_bytes_twice(tmp_path: Path) -> None:
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        photos = photos_of("fountain_p11", limit=5)
        config = SfmConfig(threads=1, features=Sift(max_features=1024))
        runs.append(reconstruct(photos, config, work_folder=tmp_path / name, context=TWO_THREADS))

    first, second = runs
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.observations.xy, second.observations.xy)
    np.testing.assert_array_equal(first.observations.point_index, second.observations.point_index)
    np.testing.assert_array_equal(first.cameras.camera_from_world, second.cameras.camera_from_world)
    for a, b in zip(first.photos, second.photos, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_few_photos_of_a_textureless_object_are_placed_and_none_wrongly(tmp_path: Path) -> None:
    found = reconstruct(
        photos_of("dino_sparse"), SfmConfig(threads=1), work_folder=tmp_path, context=TWO_THREADS
    )
    assert found.sure.sum() >= 3
    assert pose_errors(reference_of("dino_sparse"), found.cameras).wrong == ()
    assert len(found.left_out) == 16 - len(found.cameras)


@pytest.mark.slow
def test_too_few_photos_with_a_pose_are_refused_with_their_counts(tmp_path: Path) -> None:
    config = SfmConfig(threads=1, min_registered_share=0.9)
    with pytest.raises(
        InputError, match=r"\d of 16 photos have a pose .*groups found: \d.*at least 15"
    ):
        reconstruct(photos_of("dino_sparse"), config, work_folder=tmp_path, context=TWO_THREADS)


def noise_photos(count: int, contrast: float) -> list[SourcePhoto]:
    """Unrelated pictures: nothing overlaps."""
    rng = np.random.default_rng(0)
    return [
        SourcePhoto(
            name=f"weird näme {i}.jpg",
            pixels=np.uint8(128 + contrast * rng.uniform(-1, 1, (60, 80, 3))),
            camera="",
            focal_px=None,
        )
        for i in range(count)
    ]


def test_one_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 photo was given .* at least 2"):
        reconstruct(noise_photos(1, 100), SfmConfig(), work_folder=tmp_path)


def test_two_photos_have_poses_that_are_not_called_sure(tmp_path: Path) -> None:
    photos = list(photos_of("fountain_p11", 5))[2::2]
    config = SfmConfig(features=Sift(max_features=4096))
    found = reconstruct(photos, config, work_folder=tmp_path, context=TWO_THREADS)

    assert found.cameras.names == tuple(photo.name for photo in photos)
    assert not found.sure.any()
    assert (found.confidence < 0.9).all()
    reference = reference_of("fountain_p11")
    reference = reference.select([reference.names.index(name) for name in found.cameras.names])
    step, true = (
        cameras.camera_from_world[1] @ np.linalg.inv(cameras.camera_from_world[0])
        for cameras in (found.cameras, reference)
    )
    turned = np.trace(step[:3, :3].T @ true[:3, :3])
    assert np.degrees(np.arccos(np.clip((turned - 1) / 2, -1, 1))) < 2
    along = step[:3, 3] @ true[:3, 3] / np.linalg.norm(step[:3, 3]) / np.linalg.norm(true[:3, 3])
    assert np.degrees(np.arccos(np.clip(along, -1, 1))) < 2


@pytest.mark.parametrize("contrast", [0, 100])
def test_photos_that_do_not_overlap_are_refused(tmp_path: Path, contrast: float) -> None:
    with pytest.raises(InputError, match=r"none of the 4 photos .*0 of them match another"):
        reconstruct(noise_photos(4, contrast), SfmConfig(), work_folder=tmp_path)
