"""What this installation has, and what is missing."""

import importlib.metadata
import platform
import re
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from flows.settings import Settings, usable_cores
from storage.errors import UnseenError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the examination."""

    good: bool
    what: str
    found: str
    needed: bool = True
    """Whether nothing runs without it."""


def examine(settings: Settings) -> bool:
    """Print the findings; whether everything that is needed is there."""
    console = Console()
    complete = True
    for finding in _findings(settings):
        mark = "[green]ok[/green]" if finding.good else "[yellow]--[/yellow]"
        if finding.needed and not finding.good:
            mark = "[red]missing[/red]"
            complete = False
        console.print(f"{mark:>8} ", end="")
        console.print(f"{finding.what}: {finding.found}", markup=False, highlight=False)
    console.print("everything needed is here" if complete else "something needed is missing")
    return complete


def compile_kernels() -> None:
    """Compile the CPU kernels into numba's cache, saying so."""
    from tasks.splat.rasterise.cpu.warm_up import warm_up

    started = time.monotonic()
    print("compiling the CPU kernels (about half a minute, once) ...", file=sys.stderr, flush=True)
    warm_up()
    print(f"compiled in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield Finding(good=True, what="Python", found=f"{platform.python_version()} {sys.executable}")
    for what, look in (
        ("torch", _torch),
        ("gsplat", lambda: _version("gsplat")),
        ("numba", _numba),
        ("pycolmap", _pycolmap),
        ("prefect", lambda: _version("prefect")),
        ("zarr", lambda: _version("zarr")),
    ):
        yield _looked(what, look)
    yield _cuda()
    yield _api()
    yield _store(settings)
    yield from _constraints()


def _looked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(good=True, what=what, found=look())
    except Exception as error:  # a broken package raises anything at import
        return Finding(good=False, what=what, found=f"{type(error).__name__}: {error}")


def _version(package: str) -> str:
    return importlib.metadata.version(package)


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _numba() -> str:
    import numba

    return (
        f"{numba.__version__}, {numba.config.NUMBA_NUM_THREADS} threads of {usable_cores()} usable "
        "cores"
    )


def _pycolmap() -> str:
    return f"{_version('pycolmap')} (used on the CPU, in its own process)"


def _cuda() -> Finding:
    import torch

    if not torch.cuda.is_available():
        found = "none found by torch, splats are fitted by the CPU kernels"
        return Finding(good=False, what="CUDA", found=found, needed=False)
    name = torch.cuda.get_device_name(0)
    compiler = "nvcc found" if shutil.which("nvcc") else "no nvcc: gsplat needs a prebuilt wheel"
    found = f"{torch.cuda.device_count()} x {name}, torch for CUDA {torch.version.cuda}, {compiler}"
    return Finding(good=True, what="CUDA", found=found, needed=False)


def _api() -> Finding:
    from flows.server import find_api

    try:
        api = find_api()
    except UnseenError as error:
        return Finding(good=False, what="Prefect API", found=str(error))
    if api is None:
        found = "none running, 'unseen run' will start one on this machine"
        return Finding(good=True, what="Prefect API", found=found, needed=False)
    return Finding(good=True, what="Prefect API", found=api.url)


def _store(settings: Settings) -> Finding:
    store = settings.open_store()
    try:
        store.check_writable()
    except UnseenError as error:
        return Finding(good=False, what="store", found=str(error))
    room = ""
    if store.local is not None:
        room = f", {shutil.disk_usage(store.local).free / 2**30:.0f} GiB free"
    return Finding(good=True, what="store", found=f"{store.root} is writable{room}")


def _constraints() -> Iterator[Finding]:
    """Installed versions against those that were tested together."""
    file = _constraints_file()
    if file is None:
        found = "constraints.txt is not at hand, versions were not compared"
        yield Finding(good=False, what="versions", found=found, needed=False)
        return
    others = []
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", file.read_text(), re.MULTILINE)
    for package, pinned in pins:
        try:
            installed = _version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed
        if installed != pinned:
            others.append(f"{package} {installed} (tested: {pinned})")
    if others:
        yield Finding(good=False, what="versions", found=", ".join(others), needed=False)
    else:
        found = f"as tested together ({len(pins)} pins of {file.name})"
        yield Finding(good=True, what="versions", found=found)


def _constraints_file() -> Path | None:
    """Beside the sources, or where the wheel puts it."""
    beside = Path(__file__).parent.parent / "constraints.txt"
    installed = Path(sysconfig.get_path("data")) / "share" / "unseen" / "constraints.txt"
    return next((file for file in (beside, installed) if file.is_file()), None)
