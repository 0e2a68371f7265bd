"""Run in a process of its own, compiled for the CPU that its environment names: renders a small
scene there, and writes what the kernels were compiled to.

    python -m tests.support.on_another_cpu FOLDER

FOLDER gets ``arrays.npz`` (image, gradients), what was said about compiling at first and later
(``first.txt``, ``later.txt``), and the assembly of the blending kernels, as numba made it
(``native.s``) and as LLVM makes it of the same code for 64-bit ARM (``aarch64.s``).
"""

import importlib
import re
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import torch

from tasks.splat.rasterise.cpu.rasterise import rasterise
from tasks.splat.rasterise.cpu.warm_up import compile_if_new
from tasks.splat.rasterise.protocol import RenderOptions
from tests.support.rasteriser_scenes import NAMES, random_scene, splat_of

ARM = "aarch64-unknown-linux-gnu"


def for_arm(code: str) -> str:
    """Assembly of LLVM code that was made for another CPU."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(ARM).create_target_machine(cpu="generic")
    portable = re.sub(r"^target .*\n", "", code, flags=re.MULTILINE)
    # Numba's counting of references, which making the native assembly has rewritten for x86.
    portable = re.sub(
        r"^define [^\n]*@NRT_decref\(.*?^}",
        "declare void @NRT_decref(ptr)",
        portable,
        flags=re.S | re.M,
    )
    module = llvm.parse_assembly(portable)
    module.triple, module.data_layout = ARM, str(machine.target_data)
    return machine.emit_assembly(module)


def main(folder: Path) -> None:
    for name in ("first.txt", "later.txt"):
        with (folder / name).open("w") as said:
            compile_if_new(lambda share, doing, said=said: print(doing, file=said))

    scene = random_scene(300, 64, 48, seed=1)
    tensors = scene.tensors(torch.float32, requires_grad=True)
    rgb = rasterise(splat_of(tensors), scene.view, RenderOptions(sh_degree=3)).rgb
    torch.autograd.backward((rgb * rgb).sum())
    gradients = {name: t.grad for name, t in zip(NAMES, tensors, strict=True)}
    np.savez(folder / "arrays.npz", rgb=rgb.detach(), **gradients)

    module = importlib.import_module("tasks.splat.rasterise.cpu.blend")
    native, arm = [], []
    for kernel in (module.blend, module.blend_backward):
        (signature,) = kernel.signatures
        native.append(kernel.inspect_asm(signature))
        arm.append(for_arm(kernel.inspect_llvm(signature)))
    (folder / "native.s").write_text("".join(native))
    (folder / "aarch64.s").write_text("".join(arm))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
