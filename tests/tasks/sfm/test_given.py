"""Given cameras: kept to the last bit, and refused where they do not fit the photos."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.errors import InputError
from tasks.runtime.context import Context
from tasks.sfm.artefact import poses_of, source_photos
from tasks.sfm.config import SfmConfig
from tasks.sfm.export.colmap import write_colmap
from tasks.sfm.export.transforms import write_transforms
from tasks.sfm.reconstruct import Reconstruction, SourcePhoto, reconstruct
from tasks.sfm.triangulate import sample_colours
from tests.support.ingested import ingested
from tests.support.real_scenes import scene_folder
from tests.tasks.sfm.conftest import (
    photos_of,
    posed_photos_of,
    projected,
    reference_of,
    rigid,
)

TWO_THREADS = Context(threads=2)

DINO_BOX_M = np.array([[-0.061897, -0.018874, -0.057845], [0.010897, 0.068227, 0.015495]])
"""Of the figure, as its makers give it."""


def with_poses(
    photos: Iterable[SourcePhoto], changed: Callable[[np.ndarray], np.ndarray]
) -> list[SourcePhoto]:
    posed = []
    for photo in photos:
        assert photo.given is not None
        pose = changed(photo.given.camera_from_world)
        posed.append(replace(photo, given=replace(photo.given, camera_from_world=pose)))
    return posed


def given(photos: Iterable[SourcePhoto], work_folder: Path) -> Reconstruction:
    return reconstruct(
        photos, SfmConfig(), work_folder=work_folder, poses="given", context=TWO_THREADS
    )


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    """Of it plain structure from motion finds 3 of 16 photos; here photos 2 and 9 have no pose."""
    photos = [
        replace(photo, given=None) if index in (2, 9) else photo
        for index, photo in enumerate(posed_photos_of("dino_sparse"))
    ]
    return given(photos, tmp_path_factory.mktemp("dino"))


def test_given_cameras_are_kept_to_the_last_bit(dino: Reconstruction) -> None:
    reference = reference_of("dino_sparse")
    kept = [index for index in range(16) if index not in (2, 9)]

    assert dino.poses == "given"
    assert dino.cameras.names == tuple(reference.names[index] for index in kept)
    np.testing.assert_array_equal(
        dino.cameras.camera_from_world, [rigid(reference.camera_from_world[i]) for i in kept]
    )
    np.testing.assert_array_equal(dino.cameras.intrinsics, reference.intrinsics[kept])
    np.testing.assert_array_equal(dino.cameras.sizes, reference.sizes[kept])


def test_photos_without_a_given_pose_are_left_out(dino: Reconstruction) -> None:
    names = reference_of("dino_sparse").names
    assert dino.unregistered == (names[2], names[9])
    assert dino.model_sizes == (14,)


def test_points_lie_on_the_surface_and_project_to_their_observations(
    dino: Reconstruction,
) -> None:
    assert len(dino.points) > 300
    margin = 0.02 * np.ptp(DINO_BOX_M, axis=0)
    inside = (dino.points > DINO_BOX_M[0] - margin) & (dino.points < DINO_BOX_M[1] + margin)
    assert inside.all(axis=1).mean() > 0.97

    seen = dino.observations
    offset = projected(dino.cameras, seen.photo_index, dino.points[seen.point_index]) - seen.xy
    errors_px = np.linalg.norm(offset, axis=1)

    assert errors_px.max() < 4.5
    mean_by_point = np.bincount(seen.point_index, errors_px) / np.bincount(seen.point_index)
    assert dino.reprojection_error_px == pytest.approx(mean_by_point.mean(), abs=0.01)


def test_photos_without_distortion_are_unchanged(dino: Reconstruction) -> None:
    sources = {photo.name: photo.pixels for photo in photos_of("dino_sparse")}
    for name, pixels in zip(dino.cameras.names, dino.photos, strict=True):
        np.testing.assert_array_equal(pixels, sources[name])


def test_poses_with_wrong_axes_are_refused_with_the_error_figures(tmp_path: Path) -> None:
    opengl = with_poses(
        posed_photos_of("dino_sparse", 8), lambda pose: np.diag([1.0, -1.0, -1.0, 1.0]) @ pose
    )
    with pytest.raises(InputError, match=r"do not fit .*\d+ of \d+ matches \(\d+ %\) .*check"):
        given(opengl, tmp_path)


def test_poses_that_put_the_scene_behind_the_cameras_are_refused(tmp_path: Path) -> None:
    def reversed_translation(pose: np.ndarray) -> np.ndarray:
        return np.block([[pose[:3, :3], -pose[:3, 3:]], [np.zeros((1, 3)), 1.0]])

    # The epipolar lines stay what they were, so that nearly all matches lie on theirs.
    mirrored = with_poses(posed_photos_of("dino_sparse", 8), reversed_translation)
    with pytest.raises(InputError, match=r"only \d+ points .*\(9\d %\)"):
        given(mirrored, tmp_path)


def test_given_poses_at_one_spot_are_refused(tmp_path: Path) -> None:
    spot = np.array([0.0, 0.0, 0.6])

    def moved(pose: np.ndarray) -> np.ndarray:
        return np.block([[pose[:3, :3], -pose[:3, :3] @ spot[:, None]], [np.zeros((1, 3)), 1.0]])

    with pytest.raises(InputError, match=r"do not fit|only \d+ points"):
        given(with_poses(posed_photos_of("dino_sparse", 6), moved), tmp_path)


def test_one_given_pose_is_refused(tmp_path: Path) -> None:
    photos = list(posed_photos_of("dino_sparse", 5))
    without = [replace(photo, given=None) for photo in photos[1:]]
    with pytest.raises(InputError, match=r"1 of 5 photos have a given pose and at least 2"):
        given([photos[0], *without], tmp_path)


def test_photos_without_matches_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos = [
        replace(photo, pixels=rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        for photo in posed_photos_of("dino_sparse", 4)
    ]
    with pytest.raises(InputError, match="no two of the 4 photos with given poses"):
        given(photos, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["colmap", "transforms"])
def test_an_exported_reconstruction_is_read_back_with_the_same_cameras(
    dino: Reconstruction, form: str, tmp_path: Path
) -> None:
    folder, work_folder = tmp_path / "export", tmp_path / "work"
    work_folder.mkdir()
    seen = dino.observations
    tracks = np.arange(len(dino.points))
    colours = sample_colours(seen, tracks, dino.photos)
    if form == "colmap":
        write_colmap(
            folder,
            dino.cameras,
            dino.photos,
            points=dino.points,
            colours=colours,
            observations=seen,
        )
    else:
        write_transforms(folder, dino.cameras, dino.photos, points=dino.points, colours=colours)
    photos, _ = ingested(folder)

    found = reconstruct(
        source_photos(photos),
        SfmConfig(),
        work_folder=work_folder,
        poses=poses_of(photos, SfmConfig()),
        context=TWO_THREADS,
    )

    assert [Path(name).stem for name in found.cameras.names] == [
        Path(name).stem for name in dino.cameras.names
    ]
    np.testing.assert_allclose(
        found.cameras.camera_from_world, dino.cameras.camera_from_world, atol=1e-12
    )
    np.testing.assert_allclose(found.cameras.intrinsics, dino.cameras.intrinsics, rtol=1e-15)
    assert len(found.points) == pytest.approx(len(dino.points), rel=0.05)


@pytest.mark.slow
def test_points_agree_with_a_depth_sensor(tmp_path: Path) -> None:
    found = given(posed_photos_of("hololens_a"), tmp_path)
    assert len(found.cameras) == 40

    seen = found.observations
    ratios = []
    for photo, name in enumerate(found.cameras.names):
        here = seen.of_photos([photo])
        levels = np.asarray(
            Image.open(scene_folder("hololens_a") / "depth" / f"{Path(name).stem}.png")
        )
        scale = np.array(levels.shape[::-1]) / found.cameras.sizes[photo]
        column, row = np.minimum(here.xy * scale, np.array(levels.shape[::-1]) - 1).astype(int).T
        depth_m = levels[row, column] / 1000
        points = found.points[here.point_index]
        z = (points @ found.cameras.camera_from_world[photo, :3, :3].T)[:, 2]
        z += found.cameras.camera_from_world[photo, 2, 3]
        ratios.append(z[depth_m > 0] / depth_m[depth_m > 0])

    ratio = np.concatenate(ratios)
    assert len(ratio) > 5000
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)
    assert (np.abs(ratio / np.median(ratio) - 1) < 0.1).mean() > 0.8


@pytest.mark.slow
def test_slightly_wrong_poses_are_accepted_and_very_wrong_poses_are_refused(
    tmp_path: Path,
) -> None:
    def turned(angle_deg: float) -> Callable[[np.ndarray], np.ndarray]:
        rng = np.random.default_rng(0)

        def turn(pose: np.ndarray) -> np.ndarray:
            noise = np.eye(4)
            axis = rng.standard_normal(3)
            noise[:3, :3] = Rotation.from_rotvec(
                np.radians(angle_deg) * axis / np.linalg.norm(axis)
            ).as_matrix()
            return noise @ pose

        return turn

    for name in ("little", "far"):
        (tmp_path / name).mkdir()
    photos = list(posed_photos_of("fountain_p11", 6))

    found = given(with_poses(photos, turned(0.3)), tmp_path / "little")
    assert len(found.points) > 1000

    with pytest.raises(InputError, match="do not fit the photos"):
        given(with_poses(photos, turned(10.0)), tmp_path / "far")
