"""Where a stage runs, and how it says how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from storage.store import Store

Device = Literal["cpu", "cuda"]

Progress = Callable[[float, str], None]
"""Called with the finished share, 0 to 1, and what is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """It changes where results lie and how fast they come; only the device may change numbers."""

    store: Store
    device: Device = "cpu"
    threads: int = 1
    checkpoint_seconds: float = 30.0
    """Between two checkpoints of a long stage; 0 for none."""


def no_progress(share: float, doing: str) -> None:
    """The default of every ``progress`` argument."""
