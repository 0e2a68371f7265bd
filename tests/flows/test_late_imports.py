"""Imports that a process with only cached stages avoids."""

import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest
import torch

from flows.settings import Settings

COMPUTING = ("torch", "scipy", "numba", "pycolmap", "gsplat", "av")


def loaded_after(code: str) -> set[str]:
    """Which of the libraries that compute a process has loaded when it has run the code."""
    say = f"import sys; print(*(name for name in {COMPUTING!r} if name in sys.modules))"
    command = [sys.executable, "-c", f"{code}\n{say}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500)
    return set(said.stdout.split())


def test_importing_the_scene_flow_does_not_import_numerical_libraries() -> None:
    assert loaded_after("import flows.scene") == set()


@pytest.mark.skipif(
    find_library("cuda") is not None or Path("/dev/kfd").exists(),
    reason="with the driver of a GPU, torch has to be asked",
)
def test_without_a_driver_torch_is_not_imported_to_find_a_gpu() -> None:
    assert loaded_after(
        "from flows.settings import Settings; Settings(device='auto').machine()"
    ) == (set())


def test_auto_selects_the_device_that_torch_finds() -> None:
    found = "cuda" if torch.cuda.is_available() else "cpu"
    assert Settings(device="auto").machine().device == found
