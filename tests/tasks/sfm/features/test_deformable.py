"""The deformable convolution against its definition."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from tasks.sfm.features.deformable import deformable_convolution
from tests.support.deformable_reference import deformable_reference


@pytest.mark.parametrize(
    ("height", "width", "reach"),
    [(6, 9, 0.7), (6, 9, 4.0), (5, 5, 30.0), (1, 7, 1.5), (1, 1, 0.8)],
    ids=["near", "far", "mostly outside", "one row", "one pixel"],
)
def test_every_pixel_is_as_defined_at_any_offset_and_border(
    height: int, width: int, reach: float
) -> None:
    rng = np.random.default_rng(5)
    images = rng.normal(size=(2, 3, height, width)).astype(np.float32)
    offsets = rng.uniform(-reach, reach, (2, 18, height, width)).astype(np.float32)
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    found = deformable_convolution(*map(torch.from_numpy, (images, offsets, weight)))
    expected = [
        deformable_reference(image, moved, weight)
        for image, moved in zip(images, offsets, strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=2e-5)


def test_without_offsets_it_is_a_plain_convolution() -> None:
    rng = torch.Generator().manual_seed(3)
    image = torch.randn(1, 3, 7, 8, generator=rng)
    weight = torch.randn(2, 3, 3, 3, generator=rng)
    found = deformable_convolution(image, torch.zeros(1, 18, 7, 8), weight)
    torch.testing.assert_close(found, functional.conv2d(image, weight, padding=1))


def test_offsets_are_down_first_then_to_the_right() -> None:
    image = torch.zeros(1, 1, 5, 6)
    image[0, 0, 4, 3] = 1.0
    centre = torch.zeros(1, 1, 3, 3)
    centre[0, 0, 1, 1] = 1.0
    offsets = torch.zeros(1, 18, 5, 6)
    offsets[:, 8], offsets[:, 9] = 2.0, 1.0  # of the tap in the middle
    found = deformable_convolution(image, offsets, centre)[0, 0]
    assert found.nonzero().tolist() == [[2, 2]]
