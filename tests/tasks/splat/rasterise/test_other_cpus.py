"""The CPU kernels compiled for other processors than the one the tests run on."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import dense_reference
from tests.support.rasteriser_scenes import NAMES, random_scene

ROOT = Path(__file__).parents[4]

V2 = "+cx16,+sahf,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2"
V3 = f"{V2},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
WIDER_REGISTERS = {"x86-64-v2": r"%[yz]mm", "x86-64-v3": r"%zmm"}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="not an x86-64 machine")
@pytest.mark.parametrize(("cpu", "features"), [("x86-64-v2", V2), ("x86-64-v3", V3)])
def test_kernels_for_older_cpus_agree_with_the_dense_reference(
    cpu: str, features: str, tmp_path: Path
) -> None:
    scene = random_scene(300, 64, 48, seed=1)
    tensors = scene.tensors(torch.float64, requires_grad=True)
    rgb = dense_reference.render(tensors, scene.view, sh_degree=3).rgb
    torch.autograd.backward((rgb * rgb).sum())

    subprocess.run(
        [sys.executable, "-m", "tests.support.on_another_cpu", tmp_path],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": features,
            "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT),
        },
        check=True,
    )

    found = np.load(tmp_path / "arrays.npz")
    np.testing.assert_allclose(found["rgb"], rgb.detach(), atol=1e-5)
    for name, tensor in zip(NAMES, tensors, strict=True):
        assert tensor.grad is not None
        scale = float(tensor.grad.abs().max())
        np.testing.assert_allclose(found[name], tensor.grad, atol=3e-5 * scale, err_msg=name)
    assert "compiling for this processor (1 of" in (tmp_path / "first.txt").read_text()
    assert not (tmp_path / "later.txt").read_text()
    native = (tmp_path / "native.s").read_text()
    assert "%xmm" in native
    assert not re.search(WIDER_REGISTERS[cpu], native)
    # 16 lanes are four of ARM's vectors.
    assert re.search(r"fmla\s+v\d+\.4s", (tmp_path / "aarch64.s").read_text())
