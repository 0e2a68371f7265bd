"""Locks between processes: held by one, free when it dies, and told apart from those never held."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prefect.settings import PREFECT_HOME, temporary_settings

from flows.orchestration import locks
from storage import holders
from storage.holders import signature
from tasks.errors import InputError, MachineError
from tests.conftest import ROOT
from tests.support.commands import environment_of

HOLD = (
    "from flows.orchestration.locks import lock\n"
    "with lock('it'):\n    print('held', flush=True); input()"
)
HOLD_TO_THE_END = (
    "from flows.orchestration.locks import lock_until_exit\nlock_until_exit('it')\n"
    "print('held', flush=True); input()"
)


@pytest.mark.parametrize("hold", [HOLD, HOLD_TO_THE_END])
def test_a_lock_is_held_until_its_process_dies(home: Path, hold: str) -> None:
    assert not locks.is_free("it")  # it never was held
    holder = subprocess.Popen(
        [sys.executable, "-c", hold],
        env=environment_of(home, 1) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not locks.is_free("it")
        refused = pytest.raises(InputError, match="somebody has it")
        with refused, locks.lock("it", refused="somebody has it"):
            pytest.fail("two hold it")
        holder.kill()
    assert locks.is_free("it")
    with locks.lock("it", refused="somebody has it"):
        assert not locks.is_free("it")
    locks.forget_lock("it")
    assert not locks.is_free("it")


def test_an_unwritable_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        temporary_settings({PREFECT_HOME: tmp_path / "file" / "home"}),
        pytest.raises(MachineError, match=r"cannot be written .* set PREFECT_HOME"),
        locks.lock("it"),
    ):
        pytest.fail("there is no such lock")


def signed_elsewhere(home: Path, *, silent_s: float) -> Path:
    """The files of a lock that a process of another machine holds; flock finds it free."""
    folder = home / "unseen-locks"
    folder.mkdir(exist_ok=True)
    (folder / "it.lock").touch()
    holder = folder / "it.holder"
    fields = {"host": "node7", "pid": 41, "boot": "of node7", "since": "2026-01-01T00:00:00+00:00"}
    holder.write_text(json.dumps(fields))
    touched = time.time() - silent_s
    os.utime(holder, (touched, touched))
    return holder


def test_a_lock_that_another_machine_holds_is_respected_though_flock_is_free(home: Path) -> None:
    signed_elsewhere(home, silent_s=130)
    assert locks.is_held("it")
    assert not locks.is_free("it")
    message = r"somebody has it; it is process 41 on node7, which gave a sign of life 2 min ago"
    with pytest.raises(InputError, match=message), locks.lock("it", refused="somebody has it"):
        pytest.fail("two hold it")


@pytest.mark.parametrize("refused", ["somebody has it", None])
def test_a_lock_of_another_machine_that_fell_silent_is_taken_over_and_said(
    home: Path, capsys: pytest.CaptureFixture[str], refused: str | None
) -> None:
    holder = signed_elsewhere(home, silent_s=3600)
    assert locks.is_free("it")
    assert not locks.is_held("it")
    with locks.lock("it", refused=refused):
        said = capsys.readouterr().err
        assert "took over the lock 'it' of process 41 on node7" in said
        assert "60 min ago" in said
        ours = json.loads(holder.read_text())
        assert ours["pid"] == os.getpid()
        assert ours["host"] == os.uname().nodename
        assert abs(time.time() - holder.stat().st_mtime) < 600
    assert sorted(path.name for path in holder.parent.iterdir()) == ["it.lock"]


def test_who_waits_for_a_lock_of_another_machine_gets_it_when_it_is_released(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = signed_elsewhere(home, silent_s=0)
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_LOOKS", 0.01)
    sleep, looks = time.sleep, 0

    def released_at_the_third(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            holder.unlink()
        sleep(seconds)

    monkeypatch.setattr(locks.time, "sleep", released_at_the_third)
    with locks.lock("it"):
        assert looks == 3


def test_a_process_of_this_machine_that_died_leaves_its_lock_to_the_next(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the machine has been started since."""
    holder = signed_elsewhere(home, silent_s=0)
    for fields in ({"host": os.uname().nodename}, {"boot": json.loads(signature())["boot"]}):
        holder.write_text(json.dumps(json.loads(holder.read_text()) | fields))
        assert locks.is_free("it")
        with locks.lock("it", refused="somebody has it"):
            assert not capsys.readouterr().err
        holder = signed_elsewhere(home, silent_s=0)


def test_a_held_lock_gives_signs_of_life(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "SECONDS_BETWEEN_TOUCHES", 0.01)
    holders._start.cache_clear()  # a thread that began before waits for longer
    touched = threading.Event()
    utime = os.utime

    def noticed(path: Path, *others: object) -> None:
        utime(path, *others)  # type: ignore[arg-type]
        if path == home / "unseen-locks" / "it.holder":
            touched.set()

    monkeypatch.setattr(holders.os, "utime", noticed)
    with locks.lock("it"):
        old = home / "unseen-locks" / "it.holder"
        utime(old, (1.0, 1.0))
        assert touched.wait(60)
        touched.clear()
        assert touched.wait(60)
        assert old.stat().st_mtime > 1.0
