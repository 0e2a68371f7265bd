"""The vertical, by cameras that were held level."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.sfm.gravity import up_of_level_cameras
from tests.tasks.sfm.conftest import reference_of

WORLD_FROM_LEVEL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""A level camera that looks north: its x axis to the east, its y axis down."""


def held(
    heading_deg: np.ndarray, pitch_deg: np.ndarray | float = 0.0, roll_deg: np.ndarray | float = 0.0
) -> np.ndarray:
    """World-from-camera orientations in a world whose z axis is up."""
    heading, pitch, roll = np.broadcast_arrays(heading_deg, pitch_deg, roll_deg)
    turn = Rotation.from_euler("z", -heading[:, None], degrees=True).as_matrix() @ WORLD_FROM_LEVEL
    tip = Rotation.from_euler("x", pitch[:, None], degrees=True).as_matrix()
    spin = Rotation.from_euler("z", roll[:, None], degrees=True).as_matrix()
    return turn @ tip @ spin


def tilted(cameras: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same in another world, and where up is in that."""
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    return turn @ cameras, turn[:, 2]


def angle_deg(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [3, 4, 6, 12, 40, 200])
def test_a_planted_tilt_is_recovered(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cameras, up = tilted(held(np.linspace(0, 200, count), rng.uniform(-40, 30, count)), seed)
    found = up_of_level_cameras(cameras)
    assert found is not None
    assert angle_deg(found.direction, up) < 1e-4
    assert found.level.all()


def test_the_error_is_as_large_as_it_says() -> None:
    ratios = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        heading = rng.uniform(0, 200, 12)
        shared = rng.normal(0, 1.0)
        cameras, up = tilted(
            held(heading, rng.uniform(-20, 10, 12), shared + rng.normal(0, 2.0, 12)), seed
        )
        found = up_of_level_cameras(cameras)
        assert found is not None
        ratios.append(np.radians(angle_deg(found.direction, up)) / found.error_rad)
    assert 0.3 < np.sqrt(np.mean(np.square(ratios))) < 1.5
    assert np.max(ratios) < 4


def test_a_straight_path_tells_up_where_the_photos_look_around() -> None:
    cameras, up = tilted(held(np.array([-60.0, -20, 10, 40, 90, 130, 10, -30]), -5.0))
    found = up_of_level_cameras(cameras)
    assert found is not None
    assert angle_deg(found.direction, up) < 0.01


@pytest.mark.parametrize("pitch", [0.0, -30.0])
def test_photos_that_all_look_one_way_leave_up_open(pitch: float) -> None:
    rng = np.random.default_rng(0)
    heading, roll = rng.normal(0, 4, 20), rng.normal(0, 1, 20)
    assert up_of_level_cameras(tilted(held(heading, pitch, roll))[0]) is None


def test_a_few_photos_turned_sideways_do_not_matter() -> None:
    heading = np.linspace(0, 330, 12)
    roll = np.where(np.arange(12) % 5 == 2, 90.0, 0.0)
    cameras, up = tilted(held(heading, -15.0, roll))
    found = up_of_level_cameras(cameras)
    assert found is not None
    assert angle_deg(found.direction, up) < 0.01
    np.testing.assert_array_equal(found.level, roll == 0)


@pytest.mark.parametrize("sideways", [0.4, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("pitch", [0.0, -25.0])
@pytest.mark.parametrize("arc", [60.0, 150.0, 330.0])
def test_portrait_photos_that_nobody_turned_upright_are_not_taken_for_level(
    sideways: float, pitch: float, arc: float
) -> None:
    rng = np.random.default_rng(1)
    roll = np.where(np.arange(20) < sideways * 20, 90.0, 0.0)[rng.permutation(20)]
    cameras, up = tilted(held(np.linspace(0, arc, 20), pitch, roll + rng.normal(0, 1, 20)))
    found = up_of_level_cameras(cameras)
    assert found is None or angle_deg(found.direction, up) < 8


@pytest.mark.parametrize(
    "headings", [np.zeros(18), np.arange(18) % 2 * 180.0, np.arange(18) * 20.0]
)
def test_photos_of_a_drone_that_looks_straight_down_do_not_tell_up(headings: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    cameras, _ = tilted(held(headings, -90 + rng.normal(0, 2, 18), rng.normal(0, 1, 18)))
    assert up_of_level_cameras(cameras) is None


def test_photos_held_at_random_are_hardly_ever_taken_for_level() -> None:
    for count, most in ((3, 0.15), (4, 0.1), (6, 0.01), (20, 0.0)):
        rng = np.random.default_rng(3)
        taken = [
            up_of_level_cameras(Rotation.random(count, rng=rng).as_matrix()) is not None
            for _ in range(200)
        ]
        assert np.mean(taken) <= most, count


@pytest.mark.parametrize(
    ("scene", "up", "within_deg"),
    [
        ("fountain_p11", [0.0, 0.0, -1.0], 1.0),  # the survey's z axis is vertical and points down
        ("entry_p10", [0.0, 0.0, -1.0], 1.0),
        ("castle_p19", [0.0, 0.0, -1.0], 1.0),
        ("hololens_a", [0.0, 1.0, 0.0], 7.0),  # worn on a head, held to the side for a while
    ],
)
def test_real_cameras_tell_the_vertical_of_their_survey(
    scene: str, up: list[float], within_deg: float
) -> None:
    cameras = reference_of(scene).world_from_camera[:, :3, :3]
    found = up_of_level_cameras(cameras)
    assert found is not None
    assert angle_deg(found.direction, np.array(up)) < within_deg
    assert angle_deg(found.direction, np.array(up)) < 2 * np.degrees(found.error_rad)


def test_a_gantry_that_turns_the_camera_does_not_tell_up() -> None:
    cameras = reference_of("dino_sparse").world_from_camera[:, :3, :3]
    assert up_of_level_cameras(cameras) is None


def test_two_photos_are_too_few() -> None:
    assert up_of_level_cameras(held(np.array([0.0, 90.0]))) is None
