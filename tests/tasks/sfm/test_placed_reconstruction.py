"""The stored world: what the frame does to a reconstruction, and what exports keep of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from tasks.runtime.context import Context
from tasks.sfm.artefact import Sparse, arrays_of, attributes_of, source_photos
from tasks.sfm.config import SfmConfig
from tasks.sfm.export.colmap import write_colmap
from tasks.sfm.export.transforms import write_transforms
from tasks.sfm.features.config import Sift
from tasks.sfm.matches import Matches
from tasks.sfm.reconstruct import Reconstruction, SourcePhoto, in_world, reconstruct
from tasks.sfm.triangulate import Observations
from tasks.sfm.world_frame import find_world_frame, unchanged
from tests.support.ingested import ingested
from tests.support.real_scenes import scene_folder
from tests.tasks.sfm.conftest import photos_of, posed_photos_of, projected, reference_of
from tests.tasks.sfm.test_world_frame import around, in_model, noisy

EARTH_M = 6_371_000.0


@pytest.fixture
def found() -> Reconstruction:
    """Cameras around points, in a mapper's world."""
    cameras, _ = in_model(around(12), scale=4.0, seed=1)
    rng = np.random.default_rng(0)
    focus = cameras.centres.mean(0)
    points = focus + rng.normal(0, 0.3, (30, 3))
    photo = rng.integers(0, 12, 90).astype(np.int32)
    point = rng.integers(0, 30, 90).astype(np.int32)
    xy = projected(cameras, photo, points[point]).astype(np.float32)
    no_keypoints = Matches(
        photo_index=np.zeros(0, np.int32),
        xy=np.zeros((0, 2), np.float32),
        pairs=np.zeros((0, 2), np.int32),
    )
    return Reconstruction(
        cameras=cameras,
        points=points,
        observations=Observations(point_index=point, photo_index=photo, xy=xy),
        matches=no_keypoints,
        photos=[rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(12)],
        masks=[None] * 12,
        unregistered=(),
        poses="estimated",
        reprojection_error_px=0.0,
        model_sizes=(12,),
        localised=(),
        sure=np.ones(12, bool),
        confidence=np.ones(12, np.float32),
        left_out={},
        rungs=(),
        pairing="exhaustive",
        matched_pairs=66,
        frame=unchanged("model"),
        gps_origin=None,
    )


@pytest.fixture
def placed(found: Reconstruction) -> Reconstruction:
    frame = find_world_frame(found.cameras, noisy(around(12), 0.05))
    assert frame.metric
    return in_world(found, frame, gps_origin=(47.0, 8.0, 400.0))


def test_photos_see_the_points_at_the_same_pixels(
    found: Reconstruction, placed: Reconstruction
) -> None:
    seen = placed.observations
    assert np.linalg.norm(placed.points[0] - found.points[0]) > 0.1
    image = projected(placed.cameras, seen.photo_index, placed.points[seen.point_index])
    np.testing.assert_allclose(image, seen.xy, atol=1e-3)
    np.testing.assert_allclose(placed.cameras.centres, around(12).centres, atol=0.2)


def test_the_mappers_world_can_be_had_back_from_the_artefact(
    tmp_path: Path, found: Reconstruction, placed: Reconstruction
) -> None:
    handle = Store(root=str(tmp_path)).commit(
        "s", "sparse", arrays_of(placed), attributes_of(placed)
    )

    stored, world = Sparse(handle), handle.attributes["world"]
    assert (world["source"], world["upright"], world["metric"]) == ("gps", True, True)
    assert world["residual_m"] < 0.2
    assert world["gps_origin"] == [47.0, 8.0, 400.0]
    back = world["world_from_model"]
    rotation = np.array(back["rotation"])
    points = (handle.array("points") - back["translation"]) @ rotation / back["scale"]
    np.testing.assert_allclose(points, found.points, atol=1e-9)
    np.testing.assert_array_equal(stored.cameras.centres, placed.cameras.centres)


@pytest.mark.parametrize("write", [write_colmap, write_transforms])
def test_exports_keep_the_world(
    tmp_path: Path, placed: Reconstruction, write: Callable[..., None]
) -> None:
    world = placed.frame.attributes()
    tracks = {"observations": placed.observations} if write is write_colmap else {}
    write(
        tmp_path / "export",
        placed.cameras,
        placed.photos,
        points=placed.points,
        colours=np.zeros((30, 3), np.float32),
        world=world,
        **tracks,
    )

    assert json.loads((tmp_path / "export" / "world.json").read_text()) == world
    stored, _ = ingested(tmp_path / "export")
    for photo, pose in zip(source_photos(stored), placed.cameras.camera_from_world, strict=True):
        assert photo.given is not None
        np.testing.assert_allclose(photo.given.camera_from_world, pose, atol=1e-9)


def test_the_mappers_world_is_kept_where_nothing_is_known(found: Reconstruction) -> None:
    assert in_world(found, unchanged("model"), gps_origin=None) is found


def with_gps(scene: str) -> Iterator[SourcePhoto]:
    stored, _ = ingested(scene_folder(scene))
    yield from source_photos(stored)


@pytest.mark.slow
def test_a_drones_photos_make_an_upright_world_in_metres(tmp_path: Path) -> None:
    photos = {photo.name: photo for photo in with_gps("brighton_drone")}
    found = reconstruct(
        photos.values(),
        SfmConfig(features=Sift(max_features=1536)),
        work_folder=tmp_path,
        context=Context(),
    )

    assert (found.frame.source, found.frame.upright, found.frame.metric) == ("gps", True, True)
    gps = [photos[name].gps for name in found.cameras.names]
    degrees = np.radians([position[:2] for position in gps if position is not None])
    north = (degrees[:, 0] - degrees[0, 0]) * EARTH_M
    east = (degrees[:, 1] - degrees[0, 1]) * np.cos(degrees[0, 0]) * EARTH_M
    moved = found.cameras.centres - found.cameras.centres[0]
    # A sphere in place of the ellipsoid is off by half a percent of some 100 m.
    np.testing.assert_allclose(moved[:, 0], east, atol=2.0)
    np.testing.assert_allclose(moved[:, 1], north, atol=2.0)
    looking = found.cameras.world_from_camera[:, :3, 2]
    assert looking[:, 2].max() < -0.99  # straight down
    level = found.cameras.world_from_camera[:, 2, 0]
    assert np.abs(level).max() < np.sin(np.radians(3))  # its gimbal holds the x axis level


@pytest.mark.slow
def test_given_cameras_are_kept_and_reference_cameras_give_their_world(tmp_path: Path) -> None:
    reference = reference_of("fountain_p11").select(range(6))
    kept, aligned = tmp_path / "kept", tmp_path / "aligned"
    kept.mkdir()
    aligned.mkdir()
    config = SfmConfig(features=Sift(max_features=1024))

    given = reconstruct(posed_photos_of("fountain_p11", 6), config, work_folder=kept, poses="given")
    told = config.model_copy(update={"world": "reference"})
    found = reconstruct(posed_photos_of("fountain_p11", 6), told, work_folder=aligned)

    assert (given.frame.source, given.frame.metric) == ("given", False)
    assert (found.frame.source, found.frame.metric) == ("reference", True)
    off = np.linalg.norm(found.cameras.centres - reference.centres, axis=1)
    assert np.sqrt((off**2).mean()) == pytest.approx(found.frame.residual_m, rel=1e-2)  # six digits
    assert off.max() < 0.1


@pytest.mark.slow
def test_photos_of_a_facade_are_upright_by_their_level_cameras(tmp_path: Path) -> None:
    found = reconstruct(
        photos_of("fountain_p11"), SfmConfig(features=Sift(max_features=1024)), work_folder=tmp_path
    )
    assert (found.frame.source, found.frame.upright, found.frame.metric) == (
        "level-cameras",
        True,
        False,
    )
    # The survey's z axis is vertical, too, and points down.
    down = reference_of("fountain_p11").world_from_camera[:, :3, 1] @ [0.0, 0.0, 1.0]
    here = found.cameras.world_from_camera[:, :3, 1] @ [0.0, 0.0, -1.0]
    np.testing.assert_allclose(here, down, atol=np.sin(np.radians(4)))
