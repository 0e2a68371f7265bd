"""The live display of a run."""

import io

import pytest
from rich.console import Console

from flows.report.live import _print_changes, _table, clock
from flows.runs.progress import SceneProgress


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "00:00"), (59.9, "00:59"), (61, "01:01"), (3599, "59:59"), (3661, "1:01:01")],
)
def test_elapsed_time_includes_hours(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def scene(name: str, state: str, share: float = 0.0) -> SceneProgress:
    stage = "splat" if state == "running" else ""
    return SceneProgress(scene=name, state=state, seconds=5, stage=stage, share=share)


def shown(scenes: list[SceneProgress], height: int) -> str:
    console = Console(width=80, file=io.StringIO())
    console.print(_table(scenes, height))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_running_scenes_are_shown_first_if_space_is_short() -> None:
    scenes = [scene(f"done{index}", "completed") for index in range(9)]
    scenes += [scene("now", "running"), scene("next", "waiting")]
    text = shown(scenes, 3)
    assert "now" in text
    assert "next" in text
    assert "and 8 completed" in text


def test_names_that_resemble_markup_are_shown_literally() -> None:
    assert "[red]x" in shown([scene("[red]x", "running")], 9)


def test_a_log_gets_one_line_for_each_quarter() -> None:
    console = Console(width=80, file=io.StringIO())
    said: dict[str, tuple[str, str, int]] = {}
    for percent in range(100):
        _print_changes(console, [scene("[b]a", "running", percent / 100)], said)
    file = console.file
    assert isinstance(file, io.StringIO)
    assert file.getvalue().splitlines() == [
        f"[b]a: running splat {share}% " for share in (0, 25, 50, 75)
    ]
