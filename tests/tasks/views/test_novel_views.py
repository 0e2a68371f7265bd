"""Novel poses between and beyond cameras, against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.views.novel_views import between, beyond, evenly, links
from tasks.views.proximity import neighbour_spacing, pose_distances
from tests.support.cameras_by_hand import about, cameras_at, forwards, on_a_line, on_a_ring


def test_three_views_between_two_cameras_lie_at_quarters_of_the_way() -> None:
    cameras = on_a_line(2, spacing=4.0, turn_rad=0.4)
    found = between(cameras, 3)
    assert found.names == ("between_0000", "between_0001", "between_0002")
    np.testing.assert_allclose(found.centres, [[1, 0, 0], [2, 0, 0], [3, 0, 0]], atol=1e-12)
    angles = np.array([0.1, 0.2, 0.3])
    expected = np.stack([np.sin(angles), np.zeros(3), np.cos(angles)], axis=1)
    np.testing.assert_allclose(forwards(found), expected, atol=1e-12)


def test_interpolation_takes_the_shorter_rotation() -> None:
    turns = about("z", 170, -170)
    found = between(cameras_at(np.array([[0.0, 0, 0], [1, 0, 0]]), turns), 1)
    half_turn = Rotation.from_matrix(found.world_from_camera[0, :3, :3])
    assert half_turn.magnitude() == pytest.approx(np.pi)


def test_each_pair_of_linked_cameras_is_interpolated_once() -> None:
    cameras = on_a_line(4)
    # The ends reach two cameras on, the inner ones their neighbours.
    assert links(cameras).tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    assert len(between(cameras, 2)) == 10


def test_a_turn_of_a_radian_counts_as_much_as_the_median_spacing() -> None:
    turns = about("y", 0, 0, np.rad2deg(1.0))
    cameras = cameras_at(np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]), turns)
    spacing = neighbour_spacing(cameras)
    assert spacing == pytest.approx(2)
    distance = pose_distances(cameras, cameras, spacing=spacing)
    np.testing.assert_allclose(distance[0], [0, 1, 2], atol=1e-12)


def test_intrinsics_are_interpolated_at_the_size_of_the_first_camera() -> None:
    cameras = on_a_line(2)
    sizes = np.array([[60, 40], [120, 80]], dtype=np.int64)
    lenses = cameras.intrinsics * np.array([1.0, 3.0])[:, None, None]
    lenses[:, 2, 2] = 1
    mixed = Cameras(
        names=cameras.names,
        camera_from_world=cameras.camera_from_world,
        intrinsics=lenses,
        sizes=sizes,
    )
    found = between(mixed, 1)
    assert found.sizes.tolist() == [[60, 40]]
    assert found.intrinsics[0, 0, 0] == pytest.approx(50 * (1 + 1.5) / 2)  # 150 px at twice 60


def test_intrinsics_are_not_interpolated_between_different_aspect_ratios() -> None:
    cameras = on_a_line(2)
    mixed = Cameras(
        names=cameras.names,
        camera_from_world=cameras.camera_from_world,
        intrinsics=cameras.intrinsics * np.array([[[1.0]], [[1.2]]]),
        sizes=np.array([[60, 40], [40, 60]], dtype=np.int64),
    )
    np.testing.assert_array_equal(between(mixed, 1).intrinsics[0], cameras.intrinsics[0])


def test_cameras_on_a_line_are_extrapolated_at_both_ends() -> None:
    cameras = on_a_line(2, spacing=2.0, turn_rad=0.1)
    first = beyond(cameras)
    order = np.argsort(first.centres[:, 0])
    np.testing.assert_allclose(first.centres[order], [[-1, 0, 0], [3, 0, 0]], atol=1e-12)
    second = beyond(cameras, 2)
    np.testing.assert_allclose(second.centres[order], [[-2, 0, 0], [4, 0, 0]], atol=1e-12)
    # Half the way turns by half the turn.
    turned = np.arctan2(forwards(first)[:, 0], forwards(first)[:, 2])[order]
    np.testing.assert_allclose(turned, [-0.05, 0.15], atol=1e-12)


def test_an_extrapolated_view_turns_ten_degrees_at_most() -> None:
    cameras = on_a_line(2, turn_rad=1.2)
    found = beyond(cameras)
    turned = np.rad2deg(np.sort(np.arctan2(forwards(found)[:, 0], forwards(found)[:, 2])))
    np.testing.assert_allclose(turned, [-10, np.rad2deg(1.2) + 10], atol=1e-9)


def test_a_ring_or_a_single_place_is_not_extrapolated() -> None:
    assert len(beyond(on_a_ring(8))) == 0
    turns = about("y", 0, 20, 40)
    assert len(beyond(cameras_at(np.zeros((3, 3)), turns))) == 0


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 9))
def test_extrapolated_views_are_near_and_ahead_of_all_cameras(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    cameras = cameras_at(
        generator.normal(size=(count, 3)), Rotation.random(count, random_state=seed)
    )
    apart = np.linalg.norm(cameras.centres[:, None] - cameras.centres[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    half_spacing = 0.5 * np.median(apart.min(1))
    for centre in beyond(cameras).centres:
        distance = np.linalg.norm(cameras.centres - centre, axis=1)
        assert distance.min() <= half_spacing * (1 + 1e-9)
        ahead = centre - cameras.centres[distance.argmin()]
        assert ((cameras.centres - centre) @ ahead < 0).all()


@given(total=st.integers(0, 200), count=st.integers(1, 50))
def test_evenly_chosen_indices_are_ordered_and_evenly_spaced(total: int, count: int) -> None:
    chosen = evenly(total, count)
    assert len(chosen) == min(total, count)
    gaps = np.diff([-1, *chosen, total])
    if total > count:
        assert gaps.min() >= 1
        assert gaps[1:-1].max(initial=0) <= total / count + 1
    else:
        assert chosen == list(range(total))
