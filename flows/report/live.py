"""Live progress of a run in the terminal."""

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from prefect.client.orchestration import get_client
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from flows.runs.progress import ONGOING, SceneProgress, read_progress

SECONDS_BETWEEN_READS = 2.0
MAX_CPU_SHARE = 0.05
"""Of one core, for reading: hundreds of scenes are much to read, and for the server to send."""


@contextlib.contextmanager
def live_progress(run: str) -> Iterator[None]:
    """Show the progress of a run while the block runs: a live table in a terminal, else a line for
    each change."""
    ended = threading.Event()
    display = threading.Thread(target=_show, args=(run, ended), daemon=True)
    display.start()
    try:
        yield
    finally:
        ended.set()
        display.join(timeout=10)


def _show(run: str, ended: threading.Event) -> None:
    console = Console(stderr=True)
    with get_client(sync_client=True) as client, contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=console)) if sys.stderr.isatty() else None
        printed: dict[str, tuple[str, str, int]] = {}
        reading_s = 0.0
        while True:
            last = ended.wait(max(SECONDS_BETWEEN_READS, reading_s / MAX_CPU_SHARE))
            began = time.thread_time()
            with contextlib.suppress(Exception):  # of a busy server: the next read may succeed
                scenes = read_progress(client, run)
                if live:
                    live.update(_table(scenes, console.height - 4))
                else:
                    _print_changes(console, scenes, printed)
            if last:
                return
            reading_s = time.thread_time() - began


def _table(scenes: Sequence[SceneProgress], height: int) -> Table:
    """The scenes; where the height is short, running ones first and a summary of the rest."""
    table = Table(box=None, padding=(0, 1))
    for title in ("scene", "state", "time", "stage", "", ""):
        table.add_column(title, no_wrap=True)
    shown = list(scenes)
    if len(shown) > height:
        order = {state: place for place, state in enumerate(ONGOING)}
        shown.sort(key=lambda scene: order.get(scene.state, len(order)))
    for scene in shown[:height]:
        running = scene.state == "running"
        table.add_row(
            escape(scene.scene),
            scene.state,
            clock(scene.seconds),
            scene.stage if running else "",
            ProgressBar(total=1.0, completed=scene.share, width=24) if running else "",
            escape(scene.doing) if running else "",
        )
    if rest := Counter(scene.state for scene in shown[height:]):
        listed = ", ".join(f"{count} {state}" for state, count in rest.items())
        table.caption = f"and {listed}"
    return table


def clock(seconds: float) -> str:
    """``mm:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _print_changes(
    console: Console, scenes: Sequence[SceneProgress], printed: dict[str, tuple[str, str, int]]
) -> None:
    """Print a line for each new state, stage or quarter of a stage, so that logs stay readable."""
    for scene in scenes:
        now = (scene.state, scene.stage, int(4 * scene.share))
        if printed.get(scene.scene) == now:
            continue
        printed[scene.scene] = now
        where = f" {scene.stage} {scene.share:.0%} {scene.doing}" if scene.stage else ""
        console.print(f"{escape(scene.scene)}: {scene.state}{escape(where)}", soft_wrap=True)
