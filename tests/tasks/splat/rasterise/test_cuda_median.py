"""The median depth that the CUDA rasteriser works out in torch, on any machine."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.splat.rasterise.cuda import median_of_lists

thousandths = st.integers(0, 999).map(lambda n: float(np.float32(n / 1000)))
drawn = st.lists(st.tuples(thousandths, st.integers(1, 100).map(float)))


@given(lists=st.lists(drawn, max_size=6))
def test_each_pixel_gets_the_depth_where_its_transmittance_crosses_half(
    lists: list[list[tuple[float, float]]],
) -> None:
    expected = []
    for pixel in lists:
        left, median = 1.0, 0.0
        for alpha, depth in pixel:
            # Exactly a half is rounded either way.
            behind = left * (1 - alpha)
            if abs(behind - 0.5) < 1e-9:
                return
            if left > 0.5 > behind:
                median = depth
            left = behind
        expected.append(median)

    entries = [(n, *entry) for n, pixel in enumerate(lists) for entry in pixel]
    numbers = np.array(entries, np.float64).reshape(-1, 3)
    found = median_of_lists(
        torch.from_numpy(numbers[:, 0]).long(),
        torch.from_numpy(numbers[:, 1]).float(),
        torch.from_numpy(numbers[:, 2]).float(),
        len(lists),
    )
    assert found.tolist() == expected
