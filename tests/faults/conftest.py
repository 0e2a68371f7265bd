"""The command with faults in its scenes' processes, on the server and the photos of the others."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from storage.metrics import read_table
from storage.store import Store
from tests.conftest import ROOT

FAST = (
    *("--sfm.features.sift.max-features", "2048", "--sfm.threads", "1"),
    *("--splat.iterations", "60", "--splat.max-size", "160", "--stages.until", "ingest"),
)
"""The mapper on one thread ends with the same bits each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """A dataset in ``photos`` whose scenes meet the faults of their names, and its store."""

    root: Path
    environment: dict[str, str]

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def store(self) -> Store:
        return Store(root=str(self.root / "store"))

    def unseen(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-c", "from flows.cli import main; main()", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def scenes(self) -> pd.DataFrame:
        """The rows of all scenes, by name."""
        return read_table(self.store, "scenes").set_index("scene")

    def stages(self) -> pd.DataFrame:
        """The rows of all stages, by the names of scene and stage."""
        return read_table(self.store, "stages").set_index(["scene", "stage"])

    def staged(self) -> list[Path]:
        """What writers that were killed left behind."""
        return list(self.store.staging.iterdir())


@pytest.fixture(scope="session")
def faulty(command_environment: dict[str, str]) -> Callable[[Path], Faulty]:
    def in_folder(root: Path) -> Faulty:
        (root / "met").mkdir(parents=True)
        environment = command_environment | {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "injected"), str(ROOT)]),
            "FAULTS_ROOT": str(root),
            "UNSEEN_STORE": str(root / "store"),
            "UNSEEN_CHECKPOINT_SECONDS": "0.05",
        }
        return Faulty(root=root, environment=environment)

    return in_folder
