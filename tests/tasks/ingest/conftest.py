"""Pictures and folders that every ingest test may ask for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _textured(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Coloured waves: smooth, so that lossy formats keep them, and different for each seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = random.uniform(0.02, 0.15, (2, 3)), random.uniform(0.0, 6.3, 3)
    picture = np.sin(y[..., None] * waves[0][0] + x[..., None] * waves[0][1] + waves[1])
    return np.rint(127.5 + 100.0 * picture).astype(np.uint8)


@pytest.fixture
def textured() -> Callable[..., np.ndarray]:
    """``textured(width, height, seed=0)``: an RGB picture."""
    return _textured


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder of four 64x48 PNG photos."""
    folder = tmp_path / "attic"
    folder.mkdir()
    for index, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        Image.fromarray(_textured(64, 48, index)).save(folder / name)
    return folder
