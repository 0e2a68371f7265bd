"""Selection of a continuation by evidence."""

import numpy as np
import pytest

from tasks.distil.choose import GAIN_SD_DB, select


@pytest.mark.parametrize(
    ("gains", "selected"),
    [
        ((0.3,), "control"),  # one photo says little
        ((0.9,), "distilled"),
        ((0.5, 0.5), "distilled"),  # two say more
        ((0.5, 0.3), "control"),
        ((2.0, -1.9), "control"),
        ((-0.5,), "control"),
    ],
)
def test_the_gain_on_validation_photos_must_exceed_its_noise(
    gains: tuple[float, ...], selected: str
) -> None:
    found, reason = select(gains, training_photos=4)
    assert found == selected
    assert f"{np.mean(gains):+.2f} dB on {len(gains)} validation photos" in reason


@pytest.mark.parametrize(
    ("photos", "selected"), [(4, "distilled"), (6, "distilled"), (7, "control")]
)
def test_without_validation_photos_the_measured_numbers_of_photos_decide(
    photos: int, selected: str
) -> None:
    found, reason = select((), training_photos=photos)
    assert found == selected
    assert "no validation photo" in reason


@pytest.mark.parametrize("photos", [1, 2, 4])
def test_distillation_that_gains_nothing_is_rarely_selected(photos: int) -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.0, GAIN_SD_DB, (2000, photos))
    chosen = np.mean([select(tuple(one), training_photos=20)[0] == "distilled" for one in draws])
    assert 0.13 < chosen < 0.19  # the upper tail of one standard error of a normal is 0.159
