"""Supervised programs, with small ones that record their starts."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.orchestration import supervisor
from flows.orchestration.listening import listen
from flows.orchestration.supervisor import supervised
from tests.conftest import ROOT

STARTED = "import os, time; open({file!r}, 'a').write(f'{{os.getpid()}}\\n'); "


def program(file: Path, then: str) -> list[str]:
    return [sys.executable, "-c", STARTED.format(file=str(file)) + then]


def starts(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(what)


def test_a_supervised_program_that_dies_is_restarted_and_reported(tmp_path: Path) -> None:
    file, told = tmp_path / "starts", list[str]()
    with supervised(
        "the cook",
        program(file, "time.sleep(600)"),
        log=tmp_path / "log",
        environment=os.environ,
        notify=told.append,
    ):
        until(lambda: len(starts(file)) == 1, "it was started")
        os.kill(starts(file)[0], signal.SIGKILL)
        until(lambda: len(starts(file)) == 2, "it was started again")
        (second,) = starts(file)[1:]
        assert psutil.pid_exists(second)
    assert not psutil.pid_exists(second)
    (sentence,) = told
    assert "the cook died" in sentence
    assert "exit status -9" in sentence
    assert str(tmp_path / "log") in sentence


def test_a_program_that_dies_immediately_is_restarted_with_backoff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_WAIT_SECONDS", 0.05)
    told = list[str]()
    with supervised(
        "it",
        program(tmp_path / "starts", "raise SystemExit(3)"),
        log=tmp_path / "log",
        environment=os.environ,
        notify=told.append,
    ):
        until(lambda: len(told) >= 5, "it died five times")
    waits = [float(sentence.rsplit(" in ", 1)[1].removesuffix(" s")) for sentence in told[:5]]
    assert waits == [0.01, 0.02, 0.04, 0.05, 0.05]


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "starts"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    command = [sys.executable, "-c", deaf + program(file, "time.sleep(600)")[2]]
    with supervised(
        "it", command, log=tmp_path / "log", environment=os.environ, seconds_to_end=0.2
    ):
        until(lambda: bool(starts(file)), "it was started")
        (pid,) = starts(file)
    assert not psutil.pid_exists(pid)


def test_a_program_is_not_started_while_another_process_does_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_WAIT_SECONDS", 1.0)
    file, asked = tmp_path / "starts", list[bool]()

    def done_by_another() -> bool:
        asked.append(len(asked) < 3)
        return asked[-1]

    with supervised(
        "it",
        program(file, "time.sleep(600)"),
        log=tmp_path / "log",
        environment=os.environ,
        unless=done_by_another,
    ):
        until(lambda: bool(starts(file)), "it was started")
        assert asked == [True, True, True, False]


KEEP = """
import os, sys, time
from pathlib import Path
from flows.orchestration.listening import listen
from flows.orchestration.supervisor import supervised
with supervised("it", {command!r}, log=Path({log!r}), environment=os.environ):
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
def test_a_supervised_program_dies_with_its_killed_supervisor(tmp_path: Path) -> None:
    file = tmp_path / "starts"
    code = KEEP.format(command=program(file, "time.sleep(600)"), log=str(tmp_path / "log"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        until(lambda: bool(starts(file)), "it was started")
        (pid,) = starts(file)
        process.kill()
    until(lambda: not psutil.pid_exists(pid), "it died, too")


LISTEN = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).accept()[0].send(b'here')"


def test_the_port_of_a_program_that_died_stays_taken_and_serves_the_next(tmp_path: Path) -> None:
    file = tmp_path / "starts"
    with listen("127.0.0.1", 0) as opened:
        port, number = opened.getsockname()[1], opened.fileno()
        with supervised(
            "the cook",
            [*program(file, LISTEN), str(number)],
            log=tmp_path / "log",
            environment=os.environ,
            descriptors=(number,),
        ):
            for count in (1, 2):  # each ends with its first guest
                with socket.create_connection(("127.0.0.1", port), timeout=60) as guest:
                    assert guest.recv(4) == b"here"
                assert len(starts(file)) >= count
                with pytest.raises(OSError, match="in use"):
                    listen("127.0.0.1", port)
    listen("127.0.0.1", port).close()
