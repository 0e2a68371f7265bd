"""Devices and their rasterisers."""

import pytest
import torch

from tasks.errors import MachineError
from tasks.splat.rasterise.cpu import rasterise as cpu
from tasks.splat.rasterise.select import rasteriser_for


def test_the_cpu_device_selects_the_numba_kernels() -> None:
    assert rasteriser_for(torch.device("cpu")) is cpu.rasterise


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_cuda_device_is_refused() -> None:
    with pytest.raises(MachineError, match="0 CUDA devices"):
        rasteriser_for(torch.device("cuda", 0))


def test_a_device_without_a_rasteriser_is_refused() -> None:
    with pytest.raises(MachineError, match="only cpu and cuda"):
        rasteriser_for(torch.device("meta"))
