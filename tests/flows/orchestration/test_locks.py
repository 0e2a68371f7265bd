"""Locks between processes: held by one, free when it dies, and told apart from those never held."""

import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_HOME, temporary_settings

from flows.orchestration import locks
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
