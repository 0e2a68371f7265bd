"""The command as people run it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

FAST = (
    *(
        "--splat.iterations",
        "150",
        "--splat.max-size",
        "160",
        "--sfm.features.sift.max-features",
        "2048",
    ),
    *("--ensemble.count", "1", "--ensemble.max-training-photos", "8"),
    *("--views.count", "3", "--distil.iterations", "30", "--distil.max_training_photos", "99"),
)
"""Of a size that shows everything but quality."""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def unseen(command_environment: dict[str, str]) -> Command:
    """Run ``unseen`` with some arguments to its end."""

    def run(
        *arguments: str | int | Path,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments)],
            env=(environment or command_environment) | {"PYTHONPATH": str(ROOT)},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run


@pytest.fixture
def copy_of(photographed: Path) -> Callable[[Path], Path]:
    """Put the small scene's photos somewhere."""

    def copy(target: Path) -> Path:
        return Path(shutil.copytree(photographed, target))

    return copy
