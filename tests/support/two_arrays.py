"""What artefacts hold in tests that do not care."""

import numpy as np

from storage.store import NamedArray


def two_arrays() -> list[NamedArray]:
    noise = np.random.default_rng(0).integers(1, 255, (20, 32), np.uint8)
    return [
        NamedArray(name="noise", values=noise, dims=("y", "x")),
        NamedArray(name="ramp", values=np.arange(1.0, 9.0), dims=("i",)),
    ]
