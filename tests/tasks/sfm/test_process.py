"""The child process, with children that end in every way."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import DegenerateGeometryError, MachineError
from tasks.runtime.progress import no_progress
from tasks.sfm.process import run_child

Child = Callable[[str], str]
"""Takes the body of a child's ``work(folder, report)``, gives the name of its module."""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    monkeypatch.syspath_prepend(tmp_path)

    def write(body: str) -> str:
        (tmp_path / "a_child.py").write_text(
            "import ctypes, os, signal, sys, time\n"
            "from tasks.errors import DegenerateGeometryError, InputError\n"
            "from tasks.sfm.child import serve\n"
            "def work(folder, report):\n"
            + textwrap.indent(textwrap.dedent(body), "    ")
            + "\nserve(work)\n"
        )
        return "a_child"

    return write


def wait_until(condition: Callable[[], bool], limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process lives; a zombie that nobody has waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_results_are_written_to_the_work_folder_and_progress_is_forwarded(
    child: Child, tmp_path: Path
) -> None:
    module = child(
        """
        report(0.25, "a quarter")
        (folder / "result").write_text(os.environ["OMP_NUM_THREADS"])
        report(1.0, "ünïcode")
        """
    )
    seen: list[tuple[float, str]] = []

    run_child(module, tmp_path, threads=3, progress=lambda *report: seen.append(report))

    assert (tmp_path / "result").read_text() == "3"
    assert seen == [(0.25, "a quarter"), (1.0, "ünïcode")]


def test_output_of_native_code_does_not_disturb_the_progress_reports(
    child: Child, tmp_path: Path
) -> None:
    module = child(
        """
        report(0.5, "half")
        os.write(1, b"BLAS : Bad memory unallocation!")
        print("no json", flush=True)
        report(1.0, "all")
        """
    )
    seen: list[float] = []

    run_child(module, tmp_path, threads=1, progress=lambda share, _: seen.append(share))

    assert seen == [0.5, 1.0]


def test_an_expected_error_is_reraised_unchanged(child: Child, tmp_path: Path) -> None:
    module = child("raise DegenerateGeometryError('2 of 9 photos “lie” on one line; add 1')")

    with pytest.raises(DegenerateGeometryError) as caught:
        run_child(module, tmp_path, threads=1, progress=no_progress)

    assert type(caught.value) is DegenerateGeometryError
    assert str(caught.value) == "2 of 9 photos “lie” on one line; add 1"


def test_an_unexpected_exception_becomes_a_machine_error_that_quotes_it(
    child: Child, tmp_path: Path
) -> None:
    module = child("raise ValueError('the disk sang')")
    with pytest.raises(MachineError, match=r"exit code 1 .*ValueError: the disk sang"):
        run_child(module, tmp_path, threads=1, progress=no_progress)


def test_a_segfault_names_its_signal(child: Child, tmp_path: Path) -> None:
    module = child("print('before the fall', flush=True); ctypes.string_at(0)")
    with pytest.raises(MachineError, match=r"signal 11 \(SIGSEGV\).*before the fall"):
        run_child(module, tmp_path, threads=1, progress=no_progress)


def test_a_killed_child_is_reported_as_probably_out_of_memory(child: Child, tmp_path: Path) -> None:
    module = child("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(MachineError, match=r"signal 9 \(SIGKILL\).*memory"):
        run_child(module, tmp_path, threads=1, progress=no_progress)


def test_a_missing_module_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No module named no_such_child"):
        run_child("no_such_child", tmp_path, threads=1, progress=no_progress)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_exception_in_the_parent_kills_the_child(child: Child, tmp_path: Path) -> None:
    module = child("report(0.0, str(os.getpid())); time.sleep(600)")
    pids: list[int] = []

    def interrupt(_: float, message: str) -> None:
        pids.append(int(message))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child(module, tmp_path, threads=1, progress=interrupt)

    assert not is_running(pids[0])


PARENT = """
import sys
from pathlib import Path
from tasks.sfm.process import run_child
run_child("a_child", Path(sys.argv[1]), threads=1, progress=lambda *_: None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_hanging_child_dies_with_its_parent(
    child: Child, tmp_path: Path, how: signal.Signals
) -> None:
    child(
        """
        (folder / "half").write_text(str(os.getpid()))
        os.rename(folder / "half", folder / "pid")
        while True:  # native code that keeps the interpreter's lock
            ctypes.PyDLL(None).sleep(600)
        """
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait_until((tmp_path / "pid").exists)
        pid = int((tmp_path / "pid").read_text())
        assert is_running(pid)

        parent.send_signal(how)

        assert parent.wait(timeout=120) != 0
        wait_until(lambda: not is_running(pid))
    finally:
        parent.kill()
        parent.wait()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_orphan_exits_when_its_input_is_closed(child: Child, tmp_path: Path) -> None:
    child("(folder / 'pid').write_text(str(os.getpid())); time.sleep(600)")
    orphan = subprocess.Popen(
        [sys.executable, "-m", "a_child", str(tmp_path)],
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        wait_until((tmp_path / "pid").exists)
        assert orphan.stdin is not None
        orphan.stdin.close()  # what the death of a parent does, while this one lives on
        assert orphan.wait(timeout=120) == 1
    finally:
        orphan.kill()
        orphan.wait()
