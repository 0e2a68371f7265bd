"""How a function of the numerics runs: device, threads, progress, checkpoints and trust in one
value."""

from dataclasses import dataclass, replace
from typing import Literal

from storage.store import Store
from tasks.runtime.checkpoints import NO_CHECKPOINTS, Checkpoints
from tasks.runtime.progress import Progress, no_progress
from tasks.runtime.trust import NO_TRUST, Trust

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """How a function runs; only the device may change numbers. The defaults serve a notebook."""

    device: Device = "cpu"
    threads: int | None = None
    """CPU threads of networks and kernels; None leaves the libraries as they are set."""
    progress: Progress = no_progress
    checkpoints: Checkpoints = NO_CHECKPOINTS
    trust: Trust = NO_TRUST
    """Models of others, and their code, that may be used."""

    def nested(self) -> "Context":
        """The context of an inner computation: it shows no progress and saves no state."""
        return Context(device=self.device, threads=self.threads, trust=self.trust)

    def part(self, start: float, end: float) -> "Context":
        """The context of a part of the work: its progress 0..1 is shown as ``start``..``end``."""

        def progress(share: float, doing: str) -> None:
            self.progress(start + (end - start) * share, doing)

        return replace(self, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where stages run: it decides where results lie and how fast they come."""

    store: Store
    device: Device = "cpu"
    threads: int = 1
    checkpoint_seconds: float = 30.0
    """Between two checkpoints of a long stage; 0 for none."""
    trust: Trust = NO_TRUST
    """Of its owner, in models of others and their code."""
