"""Positions on the earth as local metres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sfm.geodesy import geocentric, local_positions

# EPSG Guidance Note 7-2, example of geographic/geocentric conversions (WGS 84).
EPSG_GEODETIC = (53 + 48 / 60 + 33.820 / 3600, 2 + 7 / 60 + 46.380 / 3600, 73.0)
EPSG_GEOCENTRIC = (3_771_793.968, 140_253.342, 5_124_304.349)

EQUATOR_M, POLE_M = 6_378_137.0, 6_356_752.3142


def test_the_published_point_is_reproduced() -> None:
    found = geocentric(np.array([EPSG_GEODETIC]))
    np.testing.assert_allclose(found[0], EPSG_GEOCENTRIC, atol=2e-3)


def test_the_poles_and_the_equator_lie_where_the_semi_axes_end() -> None:
    found = geocentric(
        np.array([[90.0, 13.0, 0.0], [-90.0, 0.0, 5.0], [0.0, 0.0, 0.0], [0.0, -90.0, 1.0]])
    )
    expected = [[0, 0, POLE_M], [0, 0, -POLE_M - 5], [EQUATOR_M, 0, 0], [0, -EQUATOR_M - 1, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def arc_m(latitude: float) -> tuple[float, float]:
    """Metres of a degree of latitude and of longitude, by the series in the latitude.

    Source: Snyder, Map Projections, USGS 1395, p. 25 (Clarke's figures replaced by WGS 84's).
    """
    phi = np.radians(latitude)
    north = 111_132.954 - 559.822 * np.cos(2 * phi) + 1.175 * np.cos(4 * phi)
    east = 111_412.84 * np.cos(phi) - 93.5 * np.cos(3 * phi) + 0.118 * np.cos(5 * phi)
    return float(north), float(east)


@given(
    latitude=st.floats(-85, 85),
    longitude=st.floats(-179.9, 179.9),
    north=st.floats(-0.005, 0.005),
    east=st.floats(-0.005, 0.005),
    up=st.floats(-100, 100),
)
def test_small_steps_have_the_length_of_a_degree(
    latitude: float, longitude: float, north: float, east: float, up: float
) -> None:
    here = (latitude, longitude, 200.0)
    there = (latitude + north, longitude + east, 200.0 + up)

    found = local_positions([here, here, here, there, there])

    assert found is not None
    assert found.origin == pytest.approx(here)
    north_m, east_m = arc_m(latitude + north / 2)
    expected = np.array([east * east_m, north * north_m, up])
    # The earth curves away from the tangent plane, and parallels bend in it.
    reach = float(np.hypot(*expected[:2]))
    bend = (1 + abs(np.tan(np.radians(latitude)))) * reach**2 / 6.3e6
    np.testing.assert_allclose(found.positions_m[0], 0, atol=1e-6)
    np.testing.assert_allclose(found.positions_m[3], expected, atol=0.02 + bend + 2e-5 * reach)


def test_positions_across_the_date_line_are_close() -> None:
    found = local_positions([(10.0, 179.9999, None), (10.0, -179.9999, None), (10.0, 180.0, None)])
    assert found is not None
    assert np.ptp(found.positions_m[:, 0]) == pytest.approx(0.0002 * arc_m(10.0)[1], rel=1e-4)
    assert abs(found.origin[1]) == pytest.approx(180.0)


def test_what_is_unknown_stays_unknown() -> None:
    found = local_positions([None, (47.0, 8.0, None), (47.001, 8.0, 500.0), (47.0, 8.001, 510.0)])
    assert found is not None
    np.testing.assert_array_equal(np.isnan(found.positions_m[:, 0]), [True, False, False, False])
    np.testing.assert_array_equal(np.isnan(found.positions_m[:, 2]), [True, True, False, False])
    assert local_positions([None, None]) is None
    assert local_positions([]) is None


def test_one_wrong_position_does_not_move_the_origin() -> None:
    photos = [(47.0 + 1e-4 * step, 8.0, 500.0) for step in range(9)]
    found = local_positions([*photos, (-33.0, 151.0, 0.0)])
    assert found is not None
    assert np.linalg.norm(found.positions_m[:9], axis=1).max() < 60
