"""Processes whose parent or reader disappears, observed from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
SECONDS_OF_A_BUSY_MACHINE = 120
READERLESS = """
import sys, time
from tasks.runtime import orphans as processes
processes.SECONDS_TO_BE_TOLD, processes.SECONDS_TO_END = 0.1, {to_end}
with processes.end_with_reader():
    print("begun", flush=True)
    {body}
{after}
"""


def start(code: str, **streams: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        **streams,
    )


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end_unread(body: str, after: str = "", *, to_end: float = 60.0) -> int:
    """How a process ended whose output was read no further than its first line."""
    with start(
        READERLESS.format(body=body, after=after, to_end=to_end), stdin=subprocess.PIPE
    ) as process:
        assert first_line(process) == "begun"
        assert process.stdout is not None
        process.stdout.close()
        return process.wait(timeout=SECONDS_OF_A_BUSY_MACHINE)


def test_a_process_whose_output_pipe_has_no_reader_gets_sigterm() -> None:
    assert end_unread("time.sleep(60)") == -signal.SIGTERM


def test_a_readerless_process_that_ignores_sigterm_is_killed() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    assert end_unread(deaf, to_end=0.5) == -signal.SIGKILL


def test_a_readerless_process_that_is_exiting_may_finish() -> None:
    assert end_unread("pass", after="time.sleep(0.3); sys.exit(3)") == 3


@pytest.mark.parametrize("output", [subprocess.DEVNULL, None])
def test_a_process_whose_output_is_no_pipe_is_left_running(
    output: int | None, tmp_path: Path
) -> None:
    code = READERLESS.format(body="time.sleep(0.5)", after="", to_end=0.2)
    with (tmp_path / "output").open("w") as file:
        stream = file if output is None else output
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, "-c", code], stdout=stream, env=environment)
    assert run.returncode == 0


PARENT = """
import functools, os, subprocess, sys, time
from tasks.runtime.orphans import die_with_parent
child = subprocess.Popen(["sleep", "60"], preexec_fn={preexec})
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate])
def test_a_child_dies_with_its_parent(end: Callable[["subprocess.Popen[str]"], None]) -> None:
    preexec = "functools.partial(die_with_parent, os.getpid())"
    with start(PARENT.format(preexec=preexec)) as parent:
        child = psutil.Process(int(first_line(parent)))
        time.sleep(0.2)
        assert child.is_running()
        end(parent)
    assert psutil.wait_procs([child], timeout=SECONDS_OF_A_BUSY_MACHINE)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
def test_a_child_whose_parent_has_died_before_dies_at_once() -> None:
    code = "from tasks.runtime.orphans import die_with_parent; die_with_parent(2**30)"
    with start(code) as orphan:
        assert orphan.wait(timeout=SECONDS_OF_A_BUSY_MACHINE) == -signal.SIGKILL
