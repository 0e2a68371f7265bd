"""How the kernels are compiled: numba's options, its threads and its cache on disk."""

import hashlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core.caching import (
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

from tasks.errors import MachineError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# The layer that is in every numba wheel, leaves idle cores asleep instead of spinning beside
# torch's OpenMP threads, and survives a fork. It aborts the process when two Python threads ask it
# at once: where kernels are called by several, they are called by turns.
if numba.config.THREADING_LAYER == "default":
    numba.config.THREADING_LAYER = "workqueue"

_FAST = {
    # nnan and ninf are left out: with them a NaN could slip through the kernels' own checks.
    "fastmath": {"contract", "reassoc", "nsz", "arcp", "afn"},
    "error_model": "numpy",
    "boundscheck": False,
}


def compiled(
    **options: object,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Compile with numba's ``options``, cached on disk until a source in the folder changes."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        with _stamped_cache():
            return numba.njit(_bare(function), cache=True, **options)

    return decorate


def parallel_kernel(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile for Python to call; ``prange`` loops run on ``numba.get_num_threads()`` threads."""
    return compiled(parallel=True, **_FAST)(function)


def serial_kernel(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile for Python to call; runs on the calling thread."""
    return compiled(**_FAST)(function)


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a part of kernels: its body is copied into each caller, with the caller's options."""
    return numba.njit(_bare(function), inline="always")


def is_compiled(kernel: Any) -> bool:
    """Whether a kernel was compiled for this kind of processor, in this process or, as the cache on
    disk knows it, before; for any types of its arguments."""
    if kernel.signatures:
        return True
    processor = kernel.targetctx.codegen().magic_tuple()
    # What numba itself asks before it loads: empty where a source has changed since.
    known = kernel._cache._cache_file._load_index()
    return any(kind == processor for _, kind, _ in known)


def _bare(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The function itself, below the run-time shape check that the tests wrap around it."""
    return inspect.unwrap(function)


@cache
def _digest_of_sources(folder: Path) -> str:
    """Of the modules of a folder and of this one, whose code or options its kernels take."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(folder.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Stamped:
    """Makes a cached kernel stale when any module of its folder changes.

    Numba looks only at the file that defines a kernel, and pip leaves cache files behind: after
    an upgrade it would run old code of the parts that a kernel takes from other files.
    """

    def get_source_stamp(self) -> tuple[object, str]:
        folder = Path(self._py_file).parent  # type: ignore[attr-defined]
        return super().get_source_stamp(), _digest_of_sources(folder)  # type: ignore[misc]


class UserProvided(_Stamped, UserProvidedCacheLocator):
    """In ``NUMBA_CACHE_DIR``."""


class InTree(_Stamped, InTreeCacheLocator):
    """In ``__pycache__`` beside the source."""


class UserWide(_Stamped, UserWideCacheLocator):
    """In the user's cache folder."""


@contextmanager
def _stamped_cache() -> Iterator[None]:
    """Lets numba place the kernels compiled inside as always, under our stamp."""
    before = numba.config.CACHE_LOCATOR_CLASSES
    numba.config.CACHE_LOCATOR_CLASSES = ",".join(
        f"{__name__}.{locator.__name__}" for locator in (UserProvided, InTree, UserWide)
    )
    try:
        yield
    except RuntimeError as error:
        raise MachineError(
            f"none of the 3 places for compiled kernels can be written to ({error}), so every "
            "process would compile for a minute or two; set NUMBA_CACHE_DIR to a writable folder"
        ) from error
    finally:
        numba.config.CACHE_LOCATOR_CLASSES = before
