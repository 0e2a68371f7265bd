"""Splats as SPZ files, Niantic's open format of about a tenth of the size of a PLY file.

A gzip stream of a 16-byte header and then, attribute by attribute and little-endian:

| attribute | bytes | value | error at most |
|---|---|---|---|
| means | 3 x 3 | signed fixed point with the header's number of fractional bits | 2^-(bits + 1) |
| opacities | 1 | ``255 sigmoid`` | 1 / 510 |
| constant harmonic | 3 x 1 | ``255 (0.15 x + 0.5)`` | 1 / 76.5, within +-10 / 3 |
| scales | 3 x 1 | ``16 (log + 10)`` | 1 / 32 of the logarithm, within -10 .. 5.94 |
| rotation, version 3 | 4 | index of the largest of xyzw in the highest 2 bits, then the others in \
their order, each a sign and 9 bits of ``511 sqrt(2) |q|`` | 1 / (1022 sqrt(2)) of each |
| rotation, version 2 | 3 x 1 | ``127.5 (q + 1)`` of xyz, where w >= 0 | 1 / 255 of each |
| other harmonics, channel last | 3 (k - 1) x 1 | ``128 (x + 1)`` | 1 / 256, within +-0.99 |

What lies outside of a range comes out at its end.

The frame of SPZ is x right, y up, z backwards (OpenGL, three.js); a splat of ours counts as x
right, y down, z forward, as PLY files do for the format's own tools, and is turned by half a turn
about x on its way in and out. A viewer that opens the PLY and the SPZ file of a splat shows the
same.

Source: https://github.com/nianticlabs/spz (README, "File Format"), versions 2 and 3.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.runtime.atomic_file import atomic_file

_HEADER = struct.Struct("<IIIBBBB")
"""Magic number, version, count, degree, fractional bits, flags, 0."""
_MAGIC = 0x5053474E
_VERSIONS = (2, 3)
_MAX_DEGREE = 3
_ANTIALIASED = 1
"""The one flag that changes no value."""
_MAX_FRACTIONAL_BITS = 23
_MAX_FIXED = 2**23 - 1

_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""Of four components, all but the one at the row's index."""

_HALF_TURN = np.array([1.0, -1.0, -1.0])
"""About x: of a vector, and of the xyz of a quaternion."""


def write_spz(file: Path, gaussians: Gaussians) -> None:
    """Write version 3, with as many fractional bits as the farthest mean leaves room for.

    Harmonics keep all 8 bits. The file appears, or is replaced, when all is written; equal splats
    give equal bytes.

    Raises:
        InputError: a mean is too far from the origin for the format.
        MachineError: the file cannot be written.
    """
    means = gaussians.means.double().numpy()
    bits = _fractional_bits(file, means)
    header = _HEADER.pack(_MAGIC, 3, len(gaussians), gaussians.sh_degree, bits, 0, 0)
    opacities = gaussians.logit_opacities.double().sigmoid().numpy()
    sh = gaussians.sh.double().numpy()
    attributes = (
        _fixed_point(means * _HALF_TURN, bits),
        _to_byte(255 * opacities),
        _to_byte(255 * (0.15 * sh[:, 0] + 0.5)),
        _to_byte(16 * (gaussians.log_scales.double().numpy() + 10)),
        _smallest_three(gaussians.quats.double().numpy()),
        _to_byte(128 * (_harmonics_turned(sh[:, 1:]) + 1)),
    )
    with atomic_file(file) as writing:
        content = b"".join((header, *(attribute.tobytes() for attribute in attributes)))
        writing.write(gzip.compress(content, mtime=0))


def read_spz(file: Path) -> Gaussians:
    """Read a splat of version 2 or 3 and of degree 0 to 3, with normalised rotations.

    Opacities at the ends of the range come back as the middle of what is rounded to them, so that
    their logits are finite.

    Raises:
        InputError: the file cannot be read, is cut off, or is no SPZ file of these versions.
    """
    try:
        with gzip.open(file) as reading:
            header = reading.read(_HEADER.size)
            version, count, degree, bits = _read_header(file, header)
            coefficients = (degree + 1) ** 2 - 1
            widths = (9, 1, 3, 3, 3 if version == 2 else 4, 3 * coefficients)
            expected = count * sum(widths)
            # One more, so that the end of the stream is reached and its checksum compared.
            content = reading.read(expected + 1)[:expected]
    except EOFError:
        raise InputError(f"'{file}' is cut off; copy or export it again") from None
    except (OSError, zlib.error) as error:
        raise InputError(
            f"'{file}' could not be read ({error}); give an SPZ file of version 2 or 3, which is "
            "compressed with gzip"
        ) from error
    if len(content) < expected:
        raise InputError(
            f"'{file}' is cut off: its header announces {count} Gaussians in {expected} bytes and "
            f"{len(content)} follow; copy or export it again"
        )
    ends = count * np.cumsum(widths)
    means, opacities, constant, scales, rotations, rest = (
        part.reshape(count, width)
        for part, width in zip(
            np.split(np.frombuffer(content, dtype=np.uint8), ends[:-1]), widths, strict=True
        )
    )
    harmonics = _harmonics_turned(rest.reshape(count, coefficients, 3) / 128.0 - 1)
    sh = np.concatenate([(constant[:, None] / 255.0 - 0.5) / 0.15, harmonics], axis=1)
    share = np.clip(opacities[:, 0] / 255.0, 0.25 / 255, 1 - 0.25 / 255)
    return Gaussians(
        means=_tensor(_from_fixed_point(means, bits) * _HALF_TURN),
        quats=_tensor(_first_three_back(rotations) if version == 2 else _three_back(rotations)),
        log_scales=_tensor(scales / 16.0 - 10),
        logit_opacities=_tensor(np.log(share / (1 - share))),
        sh=_tensor(sh),
    )


def _read_header(file: Path, header: bytes) -> tuple[int, int, int, int]:
    """Returns: version, count, degree and fractional bits."""
    fields = _HEADER.unpack(header) if len(header) == _HEADER.size else (0,) * 7
    magic, version, count, degree, bits, flags, _ = fields
    if magic != _MAGIC:
        raise InputError(
            f"'{file}' does not begin with the header of an SPZ file, so it is no splat; give an "
            "SPZ file of version 2 or 3"
        )
    if version not in _VERSIONS or degree > _MAX_DEGREE or flags & ~_ANTIALIASED:
        raise InputError(
            f"'{file}' is an SPZ file of version {version} with harmonics of degree {degree} and "
            f"flags {flags:#x}, and only the versions 2 and 3 with degrees 0 to 3 and no "
            "extensions are understood; export it so"
        )
    return version, count, degree, bits


def _fractional_bits(file: Path, means: Float[np.ndarray, "n 3"]) -> int:
    farthest = float(np.abs(means).max(initial=0.0))
    fitting = [
        bits for bits in range(_MAX_FRACTIONAL_BITS + 1) if round(farthest * 2**bits) <= _MAX_FIXED
    ]
    if not fitting:
        raise InputError(
            f"a Gaussian lies {farthest:.3g} units from the origin and SPZ reaches {_MAX_FIXED}, "
            f"so '{file}' cannot hold the splat; export it as PLY"
        )
    return fitting[-1]


def _to_byte(values: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _fixed_point(means: Float[np.ndarray, "n 3"], bits: int) -> UInt8[np.ndarray, "n 3 3"]:
    fixed = np.rint(means * 2.0**bits).astype("<i4")
    return np.ascontiguousarray(fixed.view(np.uint8).reshape(-1, 3, 4)[:, :, :3])


def _from_fixed_point(stored: UInt8[np.ndarray, "n 9"], bits: int) -> Float[np.ndarray, "n 3"]:
    # In the upper three bytes of four the sign is where it belongs; the shift carries it down.
    words = np.zeros((len(stored), 3, 4), dtype=np.uint8)
    words[:, :, 1:] = stored.reshape(-1, 3, 3)
    return (words.view("<i4")[:, :, 0] >> 8) / 2.0**bits


def _smallest_three(wxyz: Float[np.ndarray, "n 4"]) -> UInt8[np.ndarray, "n 4"]:
    turned = np.concatenate([wxyz[:, 1:] * _HALF_TURN, wxyz[:, :1]], axis=1)
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    largest = np.abs(turned).argmax(1)
    # A quaternion and its negative are one rotation: the largest component is always positive.
    turned *= np.where(turned[np.arange(len(turned)), largest] < 0, -1.0, 1.0)[:, None]
    others = np.take_along_axis(turned, _OTHERS[largest], axis=1)
    sizes = np.minimum(np.rint(511 * np.sqrt(2) * np.abs(others)), 511).astype(np.uint32)
    fields = sizes | (others < 0).astype(np.uint32) << 9
    words = largest.astype(np.uint32) << 30 | fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    return words.astype("<u4")[:, None].view(np.uint8)


def _three_back(stored: UInt8[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    words = np.ascontiguousarray(stored).view("<u4").astype(np.uint32)
    fields = words >> np.array([20, 10, 0], dtype=np.uint32)
    sizes = (fields & 511) / (511 * np.sqrt(2))
    others = np.where(fields & 512, -sizes, sizes)
    largest = (words >> 30).astype(np.intp)
    turned = np.empty((len(stored), 4))
    np.put_along_axis(turned, _OTHERS[largest[:, 0]], others, axis=1)
    np.put_along_axis(turned, largest, _missing(others)[:, None], axis=1)
    return _turned_back(turned)


def _first_three_back(stored: UInt8[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    xyz = stored / 127.5 - 1
    return _turned_back(np.concatenate([xyz, _missing(xyz)[:, None]], axis=1))


def _missing(others: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """What makes a unit quaternion of three components, positive."""
    return np.sqrt(np.maximum(1 - (others**2).sum(1), 0))


def _turned_back(xyzw: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    unit = xyzw / np.linalg.norm(xyzw, axis=1, keepdims=True)
    return np.concatenate([unit[:, 3:], unit[:, :3] * _HALF_TURN], axis=1)


def _harmonics_turned(sh: Float[np.ndarray, "n k 3"]) -> Float[np.ndarray, "n k 3"]:
    """Coefficients from degree 1 on, after half a turn about x.

    That takes the azimuth to its negative and z to -z: harmonics of odd degree + order change
    their sign with z, those of negative order, which go with the sine, with the azimuth.
    """
    degree = round((sh.shape[1] + 1) ** 0.5) - 1
    signs = [
        (-1) ** (band + abs(order)) * (-1 if order < 0 else 1)
        for band in range(1, degree + 1)
        for order in range(-band, band + 1)
    ]
    return sh * np.array(signs, dtype=np.float64)[:, None]


def _tensor(values: Float[np.ndarray, "..."]) -> Float32[torch.Tensor, "..."]:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
