"""Choice of the rasteriser for a device."""

import torch

from tasks.errors import MachineError
from tasks.runtime.progress import Progress
from tasks.splat.rasterise.protocol import Rasteriser


def rasteriser_for(device: torch.device) -> Rasteriser:
    """The rasteriser for tensors on ``device``.

    Raises:
        MachineError: there is none for such a device, or the device is not there.
    """
    # Imported late: gsplat takes seconds to import, and the kernels load their compiled code.
    if device.type == "cpu":
        from tasks.splat.rasterise.cpu.rasterise import rasterise as rasterise_on_cpu

        return rasterise_on_cpu
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise MachineError(
                f"device {device} was requested, but torch {torch.__version__} finds 0 CUDA "
                "devices, so nothing can be rendered there; use device cpu, or install a CUDA "
                "build of torch beside a working driver"
            )
        from tasks.splat.rasterise.cuda import rasterise as rasterise_on_cuda

        return rasterise_on_cuda
    raise MachineError(
        f"device {device} has no rasteriser, only cpu and cuda have one; choose one of these"
    )


def prepare_rasteriser(device: torch.device, progress: Progress) -> None:
    """Compile the kernels that are not yet compiled for this processor, reporting it."""
    if device.type == "cpu":
        from tasks.splat.rasterise.cpu.warm_up import compile_if_new

        compile_if_new(progress)
