"""Real photos, where the checkout has them beside it."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "../shared/data"


def scene_folder(scene: str) -> Path:
    """The folder of a real scene, or the test is skipped."""
    folder = DATA / scene
    if not folder.is_dir():
        pytest.skip(f"the real scene {scene} is not beside this checkout")
    return folder
