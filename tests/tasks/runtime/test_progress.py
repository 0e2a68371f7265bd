"""Progress of a stage in a terminal and in a log, and its remaining time."""

import os
import pty
import sys

import pytest

from tasks.runtime.progress import TimeLeft, in_words, progress_line


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


def test_a_terminal_gets_one_line_that_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        report = progress_line("splat")
        report(0.5, "loss 0.1")
        report(1.0, "done")
        read = b""
        while b"\n" not in read:  # the kernel hands it over in parts, of letters too
            read += os.read(ours, 4096)
        shown = read.decode()
    os.close(ours)
    assert [line.split() for line in shown.split("\r\x1b[K")] == [
        [],
        ["splat", "█" * 12 + "░" * 12, "50%", "loss", "0.1"],
        ["splat", "█" * 24, "100%", "done"],
    ]
    assert shown.count("\n") == 1


def test_the_remaining_time_is_exact_at_a_steady_pace() -> None:
    left = TimeLeft()
    assert left.seconds(0.1, 1000.0) is None
    assert left.seconds(0.11, 1001.0) is None  # too early to say
    for second in range(2, 91):
        found = left.seconds(0.1 + second / 100, 1000.0 + second)
        assert found == pytest.approx(90 - second)


def test_progress_before_the_first_report_does_not_count_towards_the_pace() -> None:
    left = TimeLeft()
    left.seconds(0.9, 0.0)
    assert left.seconds(0.95, 100.0) == pytest.approx(100)


def test_the_remaining_time_follows_a_change_of_pace_within_half_a_minute() -> None:
    left = TimeLeft()
    for second in range(51):
        left.seconds(second / 100, float(second))
    for second in range(1, 32):
        found = left.seconds(0.5 + second / 400, 50.0 + second)
    assert found == pytest.approx(200 - 31, rel=0.05)


def test_stalled_progress_gives_no_remaining_time() -> None:
    left = TimeLeft()
    assert [left.seconds(0.5, float(second)) for second in range(60)] == [None] * 60


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 s"),
        (42.4, "42 s"),
        (89.0, "89 s"),
        (150.0, "2 min"),
        (3540.0, "59 min"),
        (3599.0, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_durations_are_formatted_in_readable_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
