"""Intersections against analytic answers and against numpy in the world frame."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.procedural.trace import (
    Shape,
    Solids,
    chart_of,
    face_of,
    first_hit,
    normal_at,
    pack,
    span,
    surface_at,
)
from tests.support.handmade_solids import crossings, random_solids, solid


def hit(
    solids: Solids, origin: np.ndarray, direction: np.ndarray, *, any_hit: bool = False
) -> tuple[float, int, bool]:
    t, i, inside = first_hit(solids, *origin, *direction, np.inf, any_hit)
    return t, i, inside


@pytest.mark.parametrize("shape", list(Shape))
def test_a_line_through_the_middle_crosses_a_unit_shape_at_its_radius(shape: Shape) -> None:
    for axis in range(3):
        origin, direction = np.zeros(3), np.zeros(3)
        origin[axis], direction[axis] = -5.0, 2.0
        enter, leave = span(shape, *origin, *direction)
        assert (enter, leave) == (pytest.approx(2.0), pytest.approx(3.0))


@pytest.mark.parametrize("shape", list(Shape))
def test_parallel_lines_outside_a_shape_miss_it(shape: Shape) -> None:
    for axis in range(3):
        origin, direction = np.full(3, 1.01), np.zeros(3)
        direction[axis] = 1.0
        enter, leave = span(shape, *origin, *direction)
        assert enter > leave


def test_a_chord_of_a_sphere_has_the_length_by_pythagoras() -> None:
    enter, leave = span(Shape.BALL, -7.0, 0.6, 0.0, 1.0, 0.0, 0.0)
    assert leave - enter == pytest.approx(2 * 0.8, rel=1e-14)


def test_a_small_ball_far_away_keeps_its_precision() -> None:
    """The plain quadratic formula loses half the digits here."""
    solids = pack([solid(Shape.BALL, (1000.0, 0.0, 0.0), (0.01, 0.01, 0.01))])
    t, _, _ = hit(solids, np.zeros(3), np.array([1.0, 0.0, 0.0]))
    assert t == pytest.approx(999.99, abs=1e-9)


def test_the_nearest_hit_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(7)
    items = random_solids(rng, 60)
    packed = pack(items)
    hits = 0
    for _ in range(600):
        origin, target = rng.uniform(-6, 6, 3), rng.uniform(-4, 4, 3)
        direction = target - origin
        ahead = {
            i: [t for t in crossings(item, origin, direction) if t > 0]
            for i, item in enumerate(items)
        }
        nearest = {i: min(ts) for i, ts in ahead.items() if ts}
        t, found, inside = hit(packed, origin, direction)
        blocked = hit(packed, origin, direction, any_hit=True)[1] >= 0
        assert blocked == bool(nearest)
        if not nearest:
            assert found == -1
            continue
        hits += 1
        assert t == pytest.approx(min(nearest.values()), rel=1e-9)
        assert t == pytest.approx(nearest[found], rel=1e-9)
        assert inside == (len(ahead[found]) == 1)
    assert hits > 300


def test_a_hit_beyond_the_maximum_distance_is_no_hit() -> None:
    solids = pack([solid(Shape.BOX, (5.0, 0.0, 0.0), (1.0, 1.0, 1.0))])
    assert first_hit(solids, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.9, False)[1] == -1
    assert first_hit(solids, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 4.1, False)[1] == 0


@settings(max_examples=200)
@given(
    shape=st.sampled_from(list(Shape)),
    face=st.integers(0, 5),
    a=st.floats(-0.999, 0.999),
    b=st.floats(-0.999, 0.999),
)
def test_chart_and_its_inverse_cancel(shape: Shape, face: int, a: float, b: float) -> None:
    if shape == Shape.CYLINDER and face >= 4 and np.hypot(a, b) > 0.999:
        return  # a corner of the square around the lid, which no surface point has
    x, y, z = surface_at(shape, face, a, b)
    assert face_of(shape, x, y, z) == face
    assert chart_of(shape, face, x, y, z) == (pytest.approx(a), pytest.approx(b))


def test_normals_are_the_gradients_of_the_surface() -> None:
    rng = np.random.default_rng(3)
    items = random_solids(rng, 30)
    packed = pack(items)
    for i, item in enumerate(items):

        def level(p: np.ndarray, item=item) -> float:
            """1 on the surface, more outside."""
            q = item.world_from_solid.T @ (p - item.centre) / item.half_size
            if item.shape == Shape.BOX:
                return float(np.abs(q).max())
            if item.shape == Shape.BALL:
                return float(np.sqrt(q @ q))
            return float(max(np.hypot(q[0], q[1]), abs(q[2])))

        for face in range(6):
            unit = np.array(surface_at(item.shape, face, *rng.uniform(-0.6, 0.6, 2)))
            world = item.centre + item.world_from_solid @ (unit * item.half_size)
            assert level(world) == pytest.approx(1.0)
            gradient = np.array(
                [(level(world + h) - level(world - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
            )
            found = normal_at(packed, i, face, *unit)
            np.testing.assert_allclose(found, gradient / np.linalg.norm(gradient), atol=1e-5)


def test_solids_that_share_a_texture_have_one_seed_and_others_keep_their_own() -> None:
    plain = random_solids(np.random.default_rng(0), 5)
    shared = [replace(one, texture=7) if i in (1, 4) else one for i, one in enumerate(plain)]
    before, after = pack(plain).seed, pack(shared).seed
    assert len(set(before.tolist())) == 5
    assert after[1] == after[4]
    assert len(set(after.tolist())) == 4
    np.testing.assert_array_equal(after[[0, 2, 3]], before[[0, 2, 3]])
