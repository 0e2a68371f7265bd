"""The command as people run it: a real Prefect server and real workers, in a home of their own."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.procedural.scenes import facade
from tasks.procedural.write import write_scene

FAST = (
    *("--splat.iterations", "150", "--splat.max-size", "160", "--sfm.max-features", "2048"),
    *("--views.count", "3", "--distil.iterations", "30"),
)
"""Of a size that shows everything but quality."""

SECRET = "a-secret-that-nobody-may-repeat"
ROOT = Path(__file__).parents[2]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def command_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables under which the command finds a server of ours or starts one, and no other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    environment["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    environment["PREFECT_SERVER_API_PORT"] = str(port)
    environment["UNSEEN_THREADS"] = "1"
    environment["AWS_SECRET_ACCESS_KEY"] = SECRET
    yield environment
    stop = [sys.executable, "-m", "prefect", "server", "stop"]
    subprocess.run(stop, env=environment, capture_output=True, check=False)


@pytest.fixture(scope="session")
def api(command_environment: dict[str, str]) -> str:
    """The address of a server that the command finds, so that ``unseen scene`` starts none."""
    code = "from flows.server import find_or_start_api; print(find_or_start_api().url)"
    environment = command_environment | {"PYTHONPATH": str(ROOT)}
    started = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return started.stdout.strip()


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
            timeout=500,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scene folder: eight photos of a house front, with exact cameras and depth."""
    folder = tmp_path_factory.mktemp("photographed") / "front"
    write_scene(facade().excerpt("front", range(8, 16), (320, 240)), folder, lambda *_: None)
    return folder


@pytest.fixture
def copy_of(photographed: Path) -> Callable[[Path], Path]:
    """Put the small scene's photos somewhere."""

    def copy(target: Path) -> Path:
        return Path(shutil.copytree(photographed, target))

    return copy
