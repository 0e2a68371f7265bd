"""What is said of a stage's progress, in a terminal and in a log."""

import os
import pty
import sys

import pytest

from tasks.runtime.progress import progress_line


def test_a_log_gets_a_line_each_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 0.0
    monkeypatch.setattr("tasks.runtime.progress.time.monotonic", lambda: seconds)
    report = progress_line("train", in_logs="train/attic")
    for second in range(151):
        seconds = float(second)
        report(second / 150, f"step {second}")
    assert capsys.readouterr().err == "train/attic: 40% step 60\ntrain/attic: 80% step 120\n"


def test_a_terminal_gets_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        report = progress_line("splat")
        report(0.5, "loss 0.1")
        report(1.0, "done")
        shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert [line.split() for line in shown.split("\r\x1b[K")] == [
        [],
        ["splat", "█" * 12 + "░" * 12, "50%", "loss", "0.1"],
        ["splat", "█" * 24, "100%", "done"],
    ]
    assert shown.count("\n") == 1
