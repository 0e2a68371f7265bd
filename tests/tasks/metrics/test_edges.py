"""Edge energy, against pictures whose gradients are known."""

import numpy as np
import pytest

from tasks.metrics.edges import edge_energy

HEIGHT, WIDTH = 40, 60


def stripes(contrast: float, period: int = 10) -> np.ndarray:
    across = 0.5 + contrast * np.sin(2 * np.pi * np.arange(WIDTH) / period)
    return np.broadcast_to(across[None, :, None], (HEIGHT, WIDTH, 3)).copy()


def ramp(slope: float) -> np.ndarray:
    return np.broadcast_to(slope * np.arange(WIDTH)[None, :, None], (HEIGHT, WIDTH, 3)).copy()


def test_stripes_of_less_contrast_have_its_square_of_the_energy() -> None:
    assert edge_energy(stripes(0.1), stripes(0.4)) == pytest.approx(1 / 16)


def test_a_blur_costs_stripes_what_its_transfer_function_says() -> None:
    sigma, period = 1.5, 10
    passed = np.exp(-((2 * np.pi * sigma / period) ** 2) / 2)
    found = edge_energy(stripes(0.4 * passed), stripes(0.4))
    assert found == pytest.approx(np.exp(-((2 * np.pi * sigma / period) ** 2)))


def test_the_energy_of_a_ramp_is_the_square_of_its_slope_whatever_its_direction() -> None:
    assert edge_energy(ramp(0.01), ramp(0.005)) == pytest.approx(4)
    turned = ramp(0.01)[:, :HEIGHT].transpose(1, 0, 2)
    assert edge_energy(turned, ramp(0.005)[:, :HEIGHT]) == pytest.approx(4)


def test_brightness_does_not_count() -> None:
    assert edge_energy(ramp(0.01) + 0.25, ramp(0.01)) == pytest.approx(1)


def test_two_misaligned_pictures_have_more_edges_than_their_mean() -> None:
    photo = np.random.default_rng(0).random((HEIGHT, WIDTH, 3))
    shifted = np.roll(photo, 1, axis=1)
    alone = edge_energy(shifted, photo)
    mean = edge_energy((photo + shifted) / 2, photo)
    assert alone is not None
    assert mean is not None
    assert mean < 0.7 * alone


def test_masked_pixels_and_all_that_filters_see_of_them_are_left_out() -> None:
    use = np.zeros((HEIGHT, WIDTH), dtype=bool)
    use[:, :30] = True
    ruined = stripes(0.1)
    ruined[:, 30:] = np.random.default_rng(0).random((HEIGHT, 30, 3))
    expected = edge_energy(stripes(0.1)[:, :30], stripes(0.4)[:, :30])
    assert edge_energy(ruined, stripes(0.4), use) == pytest.approx(expected)


def test_without_pixels_or_edges_there_is_no_share() -> None:
    nowhere = np.zeros((HEIGHT, WIDTH), dtype=bool)
    assert edge_energy(stripes(0.1), stripes(0.4), nowhere) is None
    assert edge_energy(stripes(0.1), np.full((HEIGHT, WIDTH, 3), 0.5)) is None
    assert edge_energy(stripes(0.1)[:2], stripes(0.4)[:2]) is None
