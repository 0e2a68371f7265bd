"""Time limits of processes, for Python and native code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.metrics import read_table
from storage.store import Store
from tests.conftest import ROOT
from tests.flows.conftest import Command

LIMITED = """
import itertools, signal, time
from flows.stages import limits as time_limit
time_limit.SECONDS_TO_REPORT = 0.3
signal.signal(signal.SIGALRM, {handler})
with time_limit.time_limit({seconds}, lambda: print("told", flush=True)):
    {work}
print("ended", flush=True)
"""


def ran(
    work: str, seconds: float, handler: str = "signal.SIG_DFL"
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LIMITED.format(work=work, seconds=seconds, handler=handler)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("work", ["time.sleep(600)", "[0 for _ in iter(int, 1)]"])
def test_a_busy_or_waiting_block_past_its_limit_is_reported_and_ends_the_process(work: str) -> None:
    ended = ran(work, seconds=0.2)
    assert (ended.returncode, ended.stdout) == (1, "told\n")


@pytest.mark.parametrize("handler", ["signal.SIG_DFL", "lambda *_: print('handled')"])
def test_native_code_that_holds_the_gil_is_ended_by_the_kernel(handler: str) -> None:
    ended = ran("all(itertools.repeat(True))", seconds=0.2, handler=handler)
    assert (ended.returncode, ended.stdout) == (-signal.SIGALRM, "")


def test_the_previous_signal_handler_is_restored() -> None:
    work = "time.sleep(0.01)\nsignal.raise_signal(signal.SIGALRM)"
    ended = ran(work, seconds=60, handler="lambda *_: print('handled')")
    assert (ended.returncode, ended.stdout) == (0, "handled\nended\n")


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_block_within_its_limit_or_without_one_completes(seconds: float) -> None:
    ended = ran("time.sleep(0.01)", seconds)
    assert (ended.returncode, ended.stdout) == (0, "ended\n")


@pytest.mark.slow
def test_a_stage_past_its_limit_is_named_in_the_tables(
    unseen: Command,
    command_environment: dict[str, str],
    api: str,
    photographed: Path,
    tmp_path: Path,
) -> None:
    short = command_environment | {"UNSEEN_STAGE_SECONDS": "0.001"}
    words = ("--store", tmp_path / "store", "--stages.until", "ingest")
    said = unseen("scene", photographed, *words, environment=short)
    assert said.returncode == 1
    assert "the stage ingest has gone on for 0.001 s, its limit" in said.stderr
    store = Store(root=str(tmp_path / "store"))
    (row,) = read_table(store, "scenes").to_dict("records")
    assert (row["state"], row["error_type"]) == ("failed", "TimeLimitError")
    assert "set UNSEEN_STAGE_SECONDS higher" in row["error_message"]
    assert read_table(store, "stages")[["stage", "state"]].to_numpy().tolist() == [
        ["ingest", "failed"]
    ]
    resumed = unseen("resume", "--store", tmp_path / "store")
    assert resumed.returncode == 0, resumed.stderr
