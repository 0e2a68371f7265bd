"""Upright and metric worlds: planted frames are found, and nothing is claimed without evidence."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras, cameras_from_poses
from tasks.sfm.gps_fit import fit_freely
from tasks.sfm.world_frame import WorldFrame, find_world_frame, frame_of_reference
from tests.tasks.sfm.test_gravity import held


def cameras_at(world_from_camera: np.ndarray, centres: np.ndarray) -> Cameras:
    count = len(centres)
    return cameras_from_poses(
        tuple(f"{number:03d}.jpg" for number in range(count)),
        world_from_camera,
        centres,
        np.tile(np.diag([500.0, 500.0, 1.0]), (count, 1, 1)),
        np.tile([640, 480], (count, 1)),
    )


def in_model(cameras: Cameras, *, scale: float, seed: int) -> tuple[Cameras, np.ndarray]:
    """The cameras in a mapper's world, ``scale`` metres a unit, and that world's up."""
    rng = np.random.default_rng(seed)
    turn = Rotation.random(rng=rng).as_matrix()
    model = cameras_at(
        turn @ cameras.world_from_camera[:, :3, :3],
        (cameras.centres @ turn.T + rng.normal(0, 5, 3)) / scale,
    )
    return model, turn[:, 2]


def around(count: int = 24, radius_m: float = 20.0, pitch_deg: float = -10.0) -> Cameras:
    """Around an object, at heights between 1 and 5 m."""
    angle = np.linspace(0, 330, count)
    places = np.stack(
        [
            radius_m * np.sin(np.radians(angle)),
            radius_m * np.cos(np.radians(angle)),
            3 + 2 * np.sin(3 * np.radians(angle)),
        ],
        axis=1,
    )
    return cameras_at(held(angle + 180, pitch_deg), places)


def nadir(rows: int, columns: int, spacing_m: float) -> Cameras:
    """A drone that flies to and fro and looks down, its photos' upper edge always to the north."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    places = np.stack(
        [spacing_m * column, spacing_m * row, 60.0 + 0.3 * np.sin(row + column)], axis=1
    )
    return cameras_at(held(np.zeros(len(row)), -90.0), places)


def noisy(cameras: Cameras, sigma_m: float, seed: int = 0) -> np.ndarray:
    return cameras.centres + np.random.default_rng(seed).normal(0, sigma_m, (len(cameras), 3))


def tilt_deg(frame: WorldFrame, up: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((frame.world_from_model.rotation @ up)[2], -1, 1))))


def test_level_photos_make_an_upright_world_without_a_scale() -> None:
    model, up = in_model(around(), scale=7.0, seed=1)
    frame = find_world_frame(model)
    assert (frame.source, frame.upright, frame.metric) == ("level-cameras", True, False)
    assert tilt_deg(frame, up) < 1e-4
    assert frame.world_from_model.scale == 1.0
    assert frame.residual_m is None


@pytest.mark.parametrize("seed", range(4))
def test_positions_give_scale_heading_and_place_within_their_noise(seed: int) -> None:
    truth = around()
    model, _ = in_model(truth, scale=0.37, seed=seed)

    frame = find_world_frame(model, noisy(truth, 0.5, seed))

    assert (frame.source, frame.upright, frame.metric) == ("gps", True, True)
    # 0.5 m over sqrt(24) cameras on a radius of 20 m: half a percent.
    assert frame.world_from_model.scale == pytest.approx(0.37, rel=0.02)
    placed = frame.world_from_model.apply_to_cameras(model)
    assert np.linalg.norm(placed.centres - truth.centres, axis=1).max() < 1.0
    assert frame.residual_m == pytest.approx(0.5 * np.sqrt(3), rel=0.3)
    assert frame.positions >= 20


def test_wrong_positions_are_left_out() -> None:
    truth = around()
    model, _ = in_model(truth, scale=2.5, seed=2)
    positions = noisy(truth, 0.3)
    positions[[1, 5, 6, 13, 20, 21, 22]] += np.random.default_rng(3).normal(0, 3000, (7, 3))

    frame = find_world_frame(model, positions)

    assert frame.metric
    assert frame.positions == 17
    assert frame.world_from_model.scale == pytest.approx(2.5, rel=0.02)
    assert frame.residual_m is not None
    assert frame.residual_m < 1.0


def test_a_drone_that_looks_down_is_upright_by_its_positions_alone() -> None:
    truth = nadir(4, 5, 30.0)
    model, up = in_model(truth, scale=11.0, seed=4)
    assert find_world_frame(model).source == "model"

    frame = find_world_frame(model, noisy(truth, 1.0))

    assert (frame.upright, frame.metric) == (True, True)
    assert frame.tilt_error_deg is not None
    assert tilt_deg(frame, up) < frame.tilt_error_deg < 2
    assert frame.world_from_model.scale == pytest.approx(11.0, rel=0.03)


def test_a_straight_flight_gives_a_scale_and_no_vertical() -> None:
    truth = nadir(1, 12, 20.0)
    model, _ = in_model(truth, scale=11.0, seed=5)

    frame = find_world_frame(model, noisy(truth, 1.0))

    assert (frame.upright, frame.metric) == (False, True)
    assert frame.world_from_model.scale == pytest.approx(11.0, rel=0.03)
    np.testing.assert_array_equal(frame.world_from_model.rotation, np.eye(3))


@pytest.mark.parametrize("heights", [True, False])
def test_a_straight_walk_with_photos_all_around_has_everything(heights: bool) -> None:
    rng = np.random.default_rng(6)
    places = np.stack([np.arange(15) * 4.0, np.arange(15) * 1.0, np.full(15, 1.6)], axis=1)
    truth = cameras_at(held(rng.uniform(0, 360, 15), -5.0, rng.normal(0, 1, 15)), places)
    model, up = in_model(truth, scale=3.0, seed=6)
    positions = noisy(truth, 0.8)
    if not heights:
        positions[:, 2] = np.nan

    frame = find_world_frame(model, positions)

    assert (frame.source, frame.upright, frame.metric) == ("gps", True, True)
    assert tilt_deg(frame, up) < 2.5
    assert frame.world_from_model.scale == pytest.approx(3.0, rel=0.05)
    placed = frame.world_from_model.apply_to_cameras(model).centres
    assert np.linalg.norm((placed - truth.centres)[:, :2], axis=1).max() < 2


def test_heights_that_drift_along_a_walk_do_not_tilt_what_level_cameras_hold() -> None:
    truth = around(radius_m=8.0)
    model, up = in_model(truth, scale=3.0, seed=12)
    positions = noisy(truth, 0.1)
    positions[:, 2] += 0.15 * truth.centres[:, 0]  # a slope of 9 degrees

    frame = find_world_frame(model, positions)

    assert (frame.source, frame.upright) == ("gps", True)
    assert tilt_deg(frame, up) < 0.1
    assert frame.world_from_model.scale == pytest.approx(3.0, rel=0.05)


def test_one_height_that_is_missing_does_not_cost_the_others() -> None:
    truth = around()
    model, _ = in_model(truth, scale=2.0, seed=7)
    positions = noisy(truth, 0.2)
    positions[::3, 2] = np.nan
    frame = find_world_frame(model, positions)
    assert frame.metric
    assert frame.world_from_model.scale == pytest.approx(2.0, rel=0.02)


@pytest.mark.slow
def test_positions_that_are_noise_are_no_measure() -> None:
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(3, 25))
        truth = around(count, radius_m=1.5)
        model, _ = in_model(truth, scale=1.0, seed=seed)
        # Of a phone that lies around an object: 5 m of noise on a circle of 1.5 m.
        frame = find_world_frame(model, noisy(truth, 5.0, seed))
        wrong += frame.metric
    assert wrong <= 1


def test_a_position_that_is_repeated_is_one() -> None:
    truth = around()
    model, _ = in_model(truth, scale=1.0, seed=8)
    repeated = np.repeat(truth.centres[[0, 8, 16]], 8, axis=0)
    assert not find_world_frame(model, repeated).metric
    nothing = np.full((24, 3), np.nan)
    assert find_world_frame(model, nothing).source == "level-cameras"


def test_a_mirrored_model_is_not_mirrored_back() -> None:
    truth = around()
    mirrored = cameras_at(truth.world_from_camera[:, :3, :3], truth.centres * [1.0, 1.0, -1.0])
    found = fit_freely(mirrored.centres, truth.centres * [1.0, 4.0, 3.0])
    if found is not None:
        assert np.linalg.det(found.similarity.rotation) == pytest.approx(1.0)


def test_photos_that_tell_nothing_keep_the_mappers_world() -> None:
    model, _ = in_model(nadir(3, 3, 10.0), scale=4.0, seed=9)
    frame = find_world_frame(model)
    assert (frame.source, frame.upright, frame.metric) == ("model", False, False)
    similarity = frame.world_from_model
    assert (similarity.scale, similarity.translation.tolist()) == (1.0, [0.0, 0.0, 0.0])


def test_reference_cameras_give_their_world() -> None:
    truth = around(12)
    model, _ = in_model(truth, scale=0.2, seed=10)
    frame = frame_of_reference(truth, model)
    assert (frame.source, frame.metric, frame.upright) == ("reference", True, False)
    placed = frame.world_from_model.apply_to_cameras(model)
    np.testing.assert_allclose(placed.camera_from_world, truth.camera_from_world, atol=1e-6)
    assert frame.residual_m == pytest.approx(0.0, abs=1e-6)
