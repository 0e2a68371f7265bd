"""What tests of the command share: a real Prefect server in a home of its own, and some photos.

The test run checks every shape annotation, so the hook comes before any import of ours.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

from tests.support.commands import environment_of, free_port

install_import_hook(["tasks", "storage"], "beartype.beartype")

# A shell that starts us in the background has us ignore Ctrl-C, and the commands that tests
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A test that is slow now and then says that the machine is busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

OF_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE")
"""Variables of whoever starts the tests, which change what is printed."""
SECONDS_OF_SLOW_TESTS = 1200
"""Several times what they take: it is there for what hangs, which must not outlast CI."""
SECRET = "a-secret-that-nobody-may-repeat"
ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SECONDS_OF_SLOW_TESTS))


@pytest.fixture(scope="session", autouse=True)
def same_in_every_terminal() -> Iterator[None]:
    """What we and the commands print does not depend on where the tests are started."""
    with pytest.MonkeyPatch.context() as patched:
        for name in (*OF_TERMINALS, "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patched.delenv(name, raising=False)
        patched.setenv("TERM", "xterm")
        yield


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Of each process of the test run: stores that are URLs share the machine's."""
    with (
        tempfile.TemporaryDirectory(prefix="unseen-tests-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        Path(folder).chmod(0o711)  # Postgres has a user of its own, and pytest's folders are closed
        patched.setenv("TMPDIR", folder)
        patched.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def command_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables under which the command finds a server of ours or starts one, and no other."""
    environment = environment_of(tmp_path_factory.mktemp("prefect"), free_port())
    environment["UNSEEN_THREADS"] = "1"
    environment["AWS_SECRET_ACCESS_KEY"] = SECRET
    yield environment
    stop = [sys.executable, "-m", "prefect", "server", "stop"]
    subprocess.run(stop, env=environment, capture_output=True, check=False)


@pytest.fixture(scope="session")
def api(command_environment: dict[str, str]) -> str:
    """The address of a server that the command finds, so that ``unseen scene`` starts none."""
    code = (
        "from flows.orchestration.server import find_or_start_api; print(find_or_start_api().url)"
    )
    environment = command_environment | {"PYTHONPATH": str(ROOT)}
    started = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return started.stdout.strip()


@pytest.fixture(scope="session")
def api_password(api: str, command_environment: dict[str, str]) -> str:
    """User and password of that server."""
    return (Path(command_environment["PREFECT_HOME"]) / "unseen-server-password").read_text()[:-1]


@pytest.fixture(scope="session")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small scene folder: eight photos of a house front, with exact cameras and depth."""
    from tasks.procedural.scenes import facade  # after the hook, and by those who want photos
    from tasks.procedural.write import write_scene

    folder = tmp_path_factory.mktemp("photographed") / "front"
    write_scene(facade().excerpt("front", range(8, 16), (320, 240)), folder, lambda *_: None)
    return folder
