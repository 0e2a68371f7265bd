"""Stages that write a ramp and count how often they are computed, in a file beside the store."""

import time
from pathlib import Path

import numpy as np

from storage.errors import IntegrityError, StoreError, UnseenError
from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.config import Config
from tasks.errors import DegenerateGeometryError, DivergedError, InputError, MachineError
from tasks.runtime.context import Context
from tasks.stage import Stage


class SizeConfig(Config):
    size: int = 3


class OutOfMemoryError(RuntimeError):
    """Torch's has this name, and is a RuntimeError."""


ERRORS: dict[str, BaseException] = {
    "input": InputError("two photos are too few"),
    "geometry": DegenerateGeometryError("the cameras lie on one line"),
    "diverged": DivergedError("the loss became nan"),
    "damage": IntegrityError("the photos are damaged"),
    "purpose": UnseenError("said no"),
    "bug": ZeroDivisionError("ours"),
    "missing attribute": AttributeError("ours too"),
    "runtime": RuntimeError("not of memory"),
    "machine": MachineError("the worker was killed"),
    "store": StoreError("the disk is full"),
    "system": OSError(5, "Input/output error"),
    "memory": MemoryError(),
    "device memory": OutOfMemoryError("CUDA out of memory"),
}


def computed(root: str) -> int:
    """How often a stage was computed in the store at ``root``."""
    calls = Path(root).with_name("calls")
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def _count(out: Writer) -> int:
    with Path(out.store.root).with_name("calls").open("a") as file:
        file.write("x\n")
    return computed(out.store.root)


def _ramp(out: Writer, value: float, size: int) -> ArrayHandle:
    out.add("x", np.full(size, value), ("i",))
    return out.commit({})


def measure(out: Writer, context: Context, *, config: SizeConfig) -> ArrayHandle:
    _count(out)
    return _ramp(out, 1.0, config.size)


def double(out: Writer, context: Context, *, upstream: ArrayHandle) -> ArrayHandle:
    _count(out)
    return _ramp(out, 2 * upstream.array("x")[0], len(upstream.array("x")))


def fail(out: Writer, context: Context, *, error: str, times: int) -> ArrayHandle:
    if _count(out) <= times:
        raise ERRORS[error]
    return _ramp(out, 1.0, 3)


def report_half(out: Writer, context: Context) -> ArrayHandle:
    time.sleep(0.01)
    context.progress(0.5, "half way")
    return out.commit({"notes": ["the ramp is short"]})


def _stage(function: str, name: str = "", *, on_device: bool = False) -> Stage:
    return Stage(
        name=name or function,
        artefact="ramp",
        version=1,
        run=f"tests.support.ramp_stages:{function}",
        depends_on_device=on_device,
    )


MEASURE = _stage("measure")
MEASURE_ON = _stage("measure", "measure on", on_device=True)
DOUBLE = _stage("double")
FAIL = _stage("fail")
REPORT_HALF = _stage("report_half", "report half")
