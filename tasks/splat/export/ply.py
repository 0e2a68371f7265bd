"""Splats as the PLY files of the original 3D Gaussian Splatting, which every viewer opens.

Such a file holds what :class:`tasks.gaussians.Gaussians` holds, value for value: little-endian
float32, a row a Gaussian, with ``x y z`` the mean, ``f_dc_*`` the constant harmonic, ``f_rest_*``
the others channel by channel (all of red, then green, then blue), ``opacity`` the logit,
``scale_*`` the logarithms and ``rot_*`` the quaternion, wxyz. Normals are 0 and mean nothing. The
world is that of the cameras, in its units: nothing is turned, centred or scaled.

Source: https://github.com/graphdeco-inria/gaussian-splatting (``GaussianModel.save_ply``).
"""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float32

from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.runtime.atomic_file import atomic_file

_MEAN = ("x", "y", "z")
_NORMAL = ("nx", "ny", "nz")
_CONSTANT = ("f_dc_0", "f_dc_1", "f_dc_2")
_OPACITY = ("opacity",)
_SCALE = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")

_REST_COUNTS = (0, 9, 24, 45)
"""Harmonics but the constant one, in three channels, for the degrees 0 to 3."""

_FORMAT = "binary_little_endian 1.0"
_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4"},
    **{"uint32": "<u4", "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8"},
}
_MAX_LINE, _MAX_LINES = 4096, 1000
"""Of a header: what is longer is none."""


def write_ply(file: Path, gaussians: Gaussians) -> None:
    """Write a splat of any degree; the file appears, or is replaced, when all is written.

    Raises:
        MachineError: it cannot be written.
    """
    rest = gaussians.sh[:, 1:].transpose(1, 2).flatten(1)
    columns = (
        (_MEAN, gaussians.means),
        (_NORMAL, torch.zeros_like(gaussians.means)),
        (_CONSTANT, gaussians.sh[:, 0]),
        (_rest(rest.shape[1]), rest),
        (_OPACITY, gaussians.logit_opacities[:, None]),
        (_SCALE, gaussians.log_scales),
        (_ROTATION, gaussians.quats),
    )
    header = [
        *("ply", f"format {_FORMAT}", f"element vertex {len(gaussians)}"),
        *(f"property float {name}" for names, _ in columns for name in names),
        "end_header\n",
    ]
    rows = torch.cat([values for _, values in columns], dim=1).numpy().astype("<f4", copy=False)
    with atomic_file(file) as writing:
        writing.write("\n".join(header).encode())
        writing.write(rows.tobytes())


def read_ply(file: Path, most: int | None = None) -> Gaussians:
    """Read a splat of degree 0 to 3 as any of the usual tools writes it.

    Properties may stand in any order; normals and others that a splat does not need are passed
    over, as is what follows the Gaussians.

    Args:
        most: number of Gaussians above which none is read; None for any.

    Raises:
        InputError: the file cannot be read, is cut off, holds more than ``most``, is no splat, or
            holds values that are not finite or rotations that are 0.
    """
    try:
        with file.open("rb") as reading:
            count, row = _read_header(file, reading)
            if most is not None and count > most:
                raise InputError(
                    f"'{file}' announces {count:,} Gaussians, and splat.memory_gib and "
                    f"splat.max_gaussians leave room for {most:,}, so it is not read; raise them "
                    "or start from fewer"
                )
            there = os.fstat(reading.fileno()).st_size - reading.tell()
            if there < count * row.itemsize:
                raise InputError(
                    f"'{file}' is cut off: its header announces {count} Gaussians of "
                    f"{row.itemsize} bytes and {there} bytes follow; copy or export it again"
                )
            rows = np.fromfile(reading, dtype=row, count=count)
    except OSError as error:
        raise InputError(
            f"'{file}' could not be read ({error.strerror or error}); give a PLY file of a splat"
        ) from error
    rest = _columns(rows, _rest(sum(name.startswith("f_rest_") for name in row.names or ())))
    sh = [_columns(rows, _CONSTANT)[:, :, None], rest.reshape(count, 3, rest.shape[1] // 3)]
    gaussians = Gaussians(
        means=torch.from_numpy(_columns(rows, _MEAN)),
        quats=torch.from_numpy(_columns(rows, _ROTATION)),
        log_scales=torch.from_numpy(_columns(rows, _SCALE)),
        logit_opacities=torch.from_numpy(_columns(rows, _OPACITY)[:, 0]),
        sh=torch.from_numpy(np.concatenate(sh, axis=2).transpose(0, 2, 1).copy()),
    )
    _check_values(file, gaussians)
    return gaussians


def _rest(count: int) -> tuple[str, ...]:
    return tuple(f"f_rest_{index}" for index in range(count))


def _columns(rows: np.ndarray, names: tuple[str, ...]) -> Float32[np.ndarray, "n c"]:
    found = np.empty((len(rows), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        found[:, column] = rows[name]
    return found


def _read_header(file: Path, reading: BinaryIO) -> tuple[int, np.dtype]:
    """How many Gaussians follow, and how each of them lies there."""
    lines = _header_lines(file, reading)
    formats = [words[1:] for words in lines if words[0] == "format"]
    if formats != [_FORMAT.split()]:
        found = " ".join(formats[0]) if formats else "none"
        raise InputError(
            f"'{file}' is a PLY file of the format '{found}', and splats are read as '{_FORMAT}' "
            "only; convert it"
        )
    elements = [index for index, words in enumerate(lines) if words[0] == "element"]
    first = lines[elements[0]] if elements else ["element", "none", "0"]
    if first[1:2] != ["vertex"] or len(first) != 3 or not first[2].isdecimal():
        raise InputError(
            f"'{file}' begins with '{' '.join(first)}' where a splat has 'element vertex' and a "
            "number, so it is no splat, or a compressed one; export it uncompressed"
        )
    end = elements[1] if len(elements) > 1 else len(lines)
    properties = [words[1:] for words in lines[elements[0] : end] if words[0] == "property"]
    _check_properties(file, properties)
    if int(first[2]) == 0:
        raise InputError(f"'{file}' holds no Gaussian, so there is nothing to show; export again")
    return int(first[2]), np.dtype([(name, _TYPES[kind]) for kind, name in properties])


def _header_lines(file: Path, reading: BinaryIO) -> list[list[str]]:
    """The words of each line between the first and the last."""
    lines: list[list[str]] = []
    if reading.readline(_MAX_LINE).rstrip(b"\r\n") == b"ply":
        for _ in range(_MAX_LINES):
            words = reading.readline(_MAX_LINE).decode("ascii", errors="replace").split()
            if words == ["end_header"]:
                return lines
            lines += [words] if words else []
    raise InputError(
        f"'{file}' does not begin with the header of a PLY file, so it is no splat or was cut off; "
        "give a PLY file of a splat"
    )


def _check_properties(file: Path, properties: list[list[str]]) -> None:
    strange = [words for words in properties if len(words) != 2 or words[0] not in _TYPES]
    types = {name: np.dtype(_TYPES[kind]) for kind, name in properties} if not strange else {}
    if strange or len(types) < len(properties):
        shown = " ".join(strange[0]) if strange else "one of a name twice"
        raise InputError(
            f"'{file}' has a property of its vertices that no splat has ({shown}), so its rows "
            "cannot be read; export it as a splat"
        )
    rest = _rest(sum(name.startswith("f_rest_") for name in types))
    needed = (*_MEAN, *_CONSTANT, *rest, *_OPACITY, *_SCALE, *_ROTATION)
    if missing := [name for name in needed if types.get(name, np.dtype("i4")).kind != "f"]:
        raise InputError(
            f"'{file}' lacks {len(missing)} of the {len(needed)} float properties of a splat "
            f"({', '.join(missing[:5])}{', ...' * (len(missing) > 5)}), so it is a cloud of points "
            "or a compressed splat; export it as an uncompressed splat"
        )
    if len(rest) not in _REST_COUNTS:
        raise InputError(
            f"'{file}' has {len(rest)} properties f_rest_*, and spherical harmonics of the degrees "
            f"0 to 3 have {', '.join(map(str, _REST_COUNTS))}; export it with one of these degrees"
        )


def _check_values(file: Path, gaussians: Gaussians) -> None:
    finite = torch.ones(len(gaussians), dtype=torch.bool)
    for values in (gaussians.means, gaussians.log_scales, gaussians.logit_opacities[:, None]):
        finite &= values.isfinite().all(1)
    finite &= gaussians.sh.isfinite().flatten(1).all(1) & gaussians.quats.isfinite().all(1)
    if not finite.all():
        raise InputError(
            f"'{file}' has values that are not finite in {int((~finite).sum())} of its "
            f"{len(gaussians)} Gaussians (the first is number {int((~finite).int().argmax())}), so "
            "they cannot be drawn; remove those Gaussians or export it again"
        )
    if unturned := int((gaussians.quats == 0).all(1).sum()):
        raise InputError(
            f"'{file}' has rotations that are 0 in {unturned} of its {len(gaussians)} Gaussians, "
            "so they have no axes; remove those Gaussians or export it again"
        )
