"""Signals to the command."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from flows import cli

def doctor() -> None:
    print("ready", flush=True)
    time.sleep(100)

cli.COMMANDS["doctor"] = doctor
sys.argv = ["unseen", "doctor"]
cli.main()
"""


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 1, "interrupted")],
)
def test_a_signal_ends_a_command_with_a_sentence(
    sent: signal.Signals, status: int, says: str
) -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(sent)
        _, errors = program.communicate(timeout=60)
    assert program.returncode == status
    assert errors == (
        f"unseen: {says}; finished stages are kept, 'unseen resume' continues the run\n"
    )
