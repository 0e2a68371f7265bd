"""Splats of any degree to write and read back."""

import hypothesis.extra.numpy as st_numpy
import hypothesis.strategies as st
import torch

from tasks.gaussians import Gaussians

FIELDS = ("means", "quats", "log_scales", "logit_opacities", "sh")


def random_splat(count: int, degree: int, *, seed: int = 0) -> Gaussians:
    """Within what SPZ can hold."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=3 * normal(count, 3),
        quats=normal(count, 4),
        log_scales=(normal(count, 3) - 3).clamp(-10, 5.9),
        logit_opacities=2 * normal(count),
        sh=(0.2 * normal(count, (degree + 1) ** 2, 3)).clamp(-0.99, 0.99),
    )


@st.composite
def splats(draw: st.DrawFn, *, of_spz: bool = False) -> Gaussians:
    """Any finite values that a splat may have, or those in the ranges of SPZ."""
    count, degree = draw(st.integers(1, 6)), draw(st.integers(0, 3))

    def values(low: float, high: float, *shape: int) -> torch.Tensor:
        elements = (
            st.floats(low, high, width=32)
            if of_spz
            else st.floats(width=32, allow_nan=False, allow_infinity=False)
        )
        return torch.from_numpy(draw(st_numpy.arrays("float32", shape, elements=elements)))

    quats = values(-4, 4, count, 4)
    quats[quats.norm(dim=1) < 2**-10, 0] = 1
    return Gaussians(
        means=values(-(2.0**20), 2.0**20, count, 3),
        quats=quats,
        log_scales=values(-10, 5.9375, count, 3),
        logit_opacities=values(-30, 30, count),
        sh=values(-0.9921875, 0.9921875, count, (degree + 1) ** 2, 3),
    )
