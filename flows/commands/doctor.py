"""Check of this installation, and compilation of its kernels."""

import importlib
import importlib.metadata
import multiprocessing
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from flows.settings import Settings, usable_cores
from storage.errors import UnseenError
from tasks.errors import MachineError

WARM_UPS = (
    "tasks.splat.rasterise.cpu.warm_up",
    "tasks.procedural.warm_up",
    "tasks.splat.init.warm_up",
    "tasks.refine.warm_up",
    "tasks.views.warm_up",
)
"""Modules whose ``warm_up`` compiles their kernels; the longest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check."""

    good: bool
    what: str
    found: str
    needed: bool = True
    """Whether nothing works without it."""


def examine(settings: Settings) -> bool:
    """Print all checks; whether everything required is installed."""
    console = Console()
    complete = True
    for check in _checks(settings):
        mark, colour = ("ok", "green") if check.good else ("--", "yellow")
        if check.needed and not check.good:
            mark, colour = "missing", "red"
            complete = False
        console.print(f"[{colour}]{mark:>7}[/{colour}] ", end="")
        line = f"{check.what}: {check.found}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("everything required is installed" if complete else "a requirement is missing")
    return complete


def compile_kernels() -> None:
    """Compile the CPU kernels into numba's cache, in parallel processes.

    Raises:
        MachineError: a compiling process was killed.
    """
    started = time.monotonic()
    print("compiling the CPU kernels (a minute or two, once) ...", file=sys.stderr, flush=True)
    # In processes, since numba compiles one kernel at a time in each.
    spawned = multiprocessing.get_context("spawn")
    cores = min(len(WARM_UPS), usable_cores())
    try:
        with ProcessPoolExecutor(max_workers=cores, mp_context=spawned) as pool:
            list(pool.map(_warm_up, WARM_UPS))
    except BrokenProcessPool as error:
        raise MachineError(
            "a compiling process was killed, probably because the machine ran out of memory; free "
            "some and run 'unseen warm-up' again: compiled kernels are kept"
        ) from error
    print(f"compiled in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _warm_up(module: str) -> None:
    importlib.import_module(module).warm_up()


def _checks(settings: Settings) -> Iterator[Check]:
    yield Check(good=True, what="Python", found=f"{platform.python_version()} {sys.executable}")
    for package, version in (
        ("torch", _torch),
        ("gsplat", lambda: _version("gsplat")),
        ("numba", _numba),
        ("pycolmap", _pycolmap),
        ("prefect", lambda: _version("prefect")),
        ("zarr", lambda: _version("zarr")),
    ):
        yield _guarded(package, partial(_present, package, version))
    yield _guarded("CUDA", _cuda, needed=False)
    yield _guarded("Prefect API", _api)
    yield _guarded("store", partial(_store, settings))
    yield _guarded("ST-LPIPS", _st_lpips, needed=False)
    yield _guarded("LPIPS", partial(_lpips, settings), needed=False)
    yield _guarded("ALIKED", _aliked, needed=False)
    yield _guarded("versions", _constraints, needed=False)


def _guarded(what: str, check: Callable[[], Check], *, needed: bool = True) -> Check:
    """Run a check; a broken package may raise anything, and must not end the other checks."""
    try:
        return check()
    except Exception as error:  # raised at import
        reason = " ".join(str(error).split())
        found = reason if isinstance(error, UnseenError) else f"{type(error).__name__}: {reason}"
        return Check(good=False, what=what, found=found, needed=needed)


def _present(package: str, version: Callable[[], str]) -> Check:
    return Check(good=True, what=package, found=version())


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
    version = _version("pycolmap")
    # In its own process, as always: beside Pillow in one process it can corrupt memory.
    command = [sys.executable, "-P", "-c", "import pycolmap"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        last = ended.stderr.strip().splitlines()[-1:]
        raise MachineError(f"{version} is installed but cannot be imported: {' '.join(last)}")
    return f"{version} (used on the CPU, in its own process)"


def _cuda() -> Check:
    import torch

    if not torch.cuda.is_available():
        found = "torch finds no device; splats are fitted with the CPU kernels"
        return Check(good=False, what="CUDA", found=found, needed=False)
    name = torch.cuda.get_device_name(0)
    compiler = "nvcc found" if shutil.which("nvcc") else "no nvcc: gsplat needs a prebuilt wheel"
    found = f"{torch.cuda.device_count()} x {name}, torch for CUDA {torch.version.cuda}, {compiler}"
    return Check(good=True, what="CUDA", found=found, needed=False)


def _api() -> Check:
    from flows.orchestration.api import find_api, without_password

    api = find_api()
    if api is None:
        found = "none of ours running; 'unseen run' starts one on this machine"
        return Check(good=True, what="Prefect API", found=found, needed=False)
    return Check(good=True, what="Prefect API", found=f"{without_password(api.url)}{api.login}")


def _store(settings: Settings) -> Check:
    store = settings.open_store()
    new = store.local is not None and not store.local.exists()
    store.check_writable()
    room = ""
    if store.local is not None:
        room = f", {shutil.disk_usage(store.local).free / 2**30:.0f} GiB free"
        if new:
            store.local.rmdir()  # left as it was
    return Check(good=True, what="store", found=f"{store.root} is writable{room}")


def _st_lpips() -> Check:
    from tasks.metrics.perceptual.files import INSTALL, find_perceptual_weights

    good = find_perceptual_weights("alex").st_lpips is not None
    found = "weights found" if good else f"no weights, so the figure is left out: {INSTALL}"
    return Check(good=good, what="ST-LPIPS", found=found, needed=False)


def _aliked() -> Check:
    from tasks.sfm.features.files import INSTALL, aliked_is_installed

    good = aliked_is_installed()
    found = "weights found" if good else f"no weights, so photos are matched by SIFT: {INSTALL}"
    return Check(good=good, what="ALIKED", found=found, needed=False)


def _lpips(settings: Settings) -> Check:
    from tasks.metrics.perceptual.files import BACKBONES, find_perceptual_weights

    file = settings.lpips_file()
    known = [
        name
        for name, weights in (
            ("AlexNet", find_perceptual_weights("alex", file)),
            ("VGG-16", find_perceptual_weights("vgg", file)),
        )
        if weights.lpips
    ]
    if known:
        return Check(good=True, what="LPIPS", found=f"weights of {' and '.join(known)} found")
    found = (
        "no weights of a backbone, so the figure is left out; name torchvision's file "
        f"({BACKBONES['alex'][0]} or {BACKBONES['vgg'][0]}) in UNSEEN_LPIPS_BACKBONE"
    )
    return Check(good=False, what="LPIPS", found=found, needed=False)


def _constraints() -> Check:
    """Installed versions against the tested ones."""
    file = _constraints_file()
    if file is None:
        found = "constraints.txt is not installed, versions were not compared"
        return Check(good=False, what="versions", found=found, needed=False)
    others = []
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", file.read_text(), re.MULTILINE)
    for package, pinned in pins:
        try:
            installed = _version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        if installed != pinned:
            others.append(f"{package} {installed} (tested: {pinned})")
    if others:
        return Check(good=False, what="versions", found=", ".join(others), needed=False)
    found = f"as tested ({len(pins)} pins of {file.name})"
    return Check(good=True, what="versions", found=found)


def _constraints_file() -> Path | None:
    """Beside the sources, or at its place in the wheel."""
    beside = Path(__file__).parents[2] / "constraints.txt"
    installed = Path(sysconfig.get_path("data")) / "share" / "unseen" / "constraints.txt"
    return next((file for file in (beside, installed) if file.is_file()), None)
