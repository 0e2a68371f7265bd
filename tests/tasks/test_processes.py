"""Processes whose parent goes, seen from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def start(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


PARENT = """
import functools, os, subprocess, sys, time
from tasks.processes import die_with_parent
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
    assert psutil.wait_procs([child], timeout=10)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
def test_a_child_whose_parent_has_died_before_dies_at_once() -> None:
    code = "from tasks.processes import die_with_parent; die_with_parent(2**30)"
    with start(code) as orphan:
        assert orphan.wait(timeout=20) == -signal.SIGKILL
