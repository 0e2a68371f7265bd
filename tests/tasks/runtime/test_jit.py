"""Detection of compiled kernels."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tasks.runtime.jit import is_compiled

ROOT = Path(__file__).parents[3]
KERNEL = """
from tasks.runtime.jit import serial_kernel

@serial_kernel
def add_one(number):
    return number + 1
"""


def loaded(path: Path) -> ModuleType:
    """A module of its own each time, with a kernel that has nothing in memory yet."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_kernel_counts_as_compiled_once_it_ran_in_this_or_an_earlier_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL)
    first = loaded(path).add_one

    assert not is_compiled(first)
    assert first(1) == 2
    assert is_compiled(first)
    assert is_compiled(loaded(path).add_one)


def test_a_kernel_with_changed_source_does_not_count_as_compiled(tmp_path: Path) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL)
    loaded(path).add_one(1)
    path.write_text(KERNEL.replace("number + 1", "number + 1 + 0"))

    assert not is_compiled(loaded(path).add_one)


def test_a_kernel_compiled_for_another_cpu_does_not_count_as_compiled(tmp_path: Path) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL)
    program = f"import runpy; runpy.run_path({str(path)!r})['add_one'](1)"
    subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": "",
            "PYTHONPATH": str(ROOT),
        },
        check=True,
    )
    assert list(path.parent.rglob("*.nbi"))
    assert not is_compiled(loaded(path).add_one)
