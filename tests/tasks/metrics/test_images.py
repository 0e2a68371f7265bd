"""PSNR against its formula, SSIM against scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tasks.metrics.images import psnr_db, ssim


def pair(seed: int, height: int = 40, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    photo = generator.random((height, width, 3))
    noise = generator.normal(0, 0.2, photo.shape)
    return np.clip(photo + noise, 0, 1).astype(np.float32), photo.astype(np.float32)


def test_a_constant_error_of_a_tenth_is_20_db() -> None:
    photo = np.full((5, 7, 3), 0.4)
    assert psnr_db(photo + 0.1, photo) == pytest.approx(20.0, abs=1e-9)


def test_equal_images_have_no_error() -> None:
    _, photo = pair(0)
    assert psnr_db(photo, photo) == float("inf")
    assert ssim(photo, photo) == pytest.approx(1.0, abs=1e-12)


@given(seed=st.integers(0, 10_000), height=st.integers(11, 40), width=st.integers(11, 40))
@settings(max_examples=30)
def test_ssim_agrees_with_scikit_image(seed: int, height: int, width: int) -> None:
    rendered, photo = pair(seed, height, width)
    expected = structural_similarity(
        rendered.astype(np.float64),
        photo.astype(np.float64),
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(rendered, photo) == pytest.approx(expected, abs=1e-9)
    expected_db = peak_signal_noise_ratio(photo.astype(float), rendered.astype(float), data_range=1)
    assert psnr_db(rendered, photo) == pytest.approx(expected_db, abs=1e-9)


def test_an_image_smaller_than_the_window_has_no_ssim() -> None:
    assert np.isnan(ssim(*pair(0, height=10, width=50)))


def test_only_unmasked_pixels_are_scored() -> None:
    rng = np.random.default_rng(3)
    photo = rng.random((40, 50, 3))
    rendered = np.clip(photo + 0.1 * rng.standard_normal(photo.shape), 0, 1)
    use = np.zeros((40, 50), dtype=bool)
    use[:, :25] = True
    ruined = rendered.copy()
    ruined[~use] = 0.0
    assert psnr_db(ruined, photo, use) == pytest.approx(psnr_db(rendered[:, :25], photo[:, :25]))
    # Windows wholly within the part to use see what they see in a picture of that part alone.
    inner = use.copy()
    inner[:, 20:] = False
    alone = ssim(rendered[:, :25], photo[:, :25])
    assert ssim(ruined, photo, inner) == pytest.approx(alone, abs=0.02)
    assert ssim(ruined, photo, inner) == ssim(rendered, photo, inner)
    assert ssim(photo, photo, use) == pytest.approx(1.0)
    assert np.isnan(psnr_db(rendered, photo, np.zeros_like(use)))
