"""SPZ files against a reader and a writer of one Gaussian at a time, and another program's file."""

import gzip
import math
import struct
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from gsplat.cuda._torch_impl import _spherical_harmonics
from hypothesis import HealthCheck, given, settings
from scipy.spatial.transform import Rotation

from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.splat.export.ply import write_ply
from tasks.splat.export.spz import read_spz, write_spz
from tasks.splat.render import render
from tests.support.painted_plane import photograph
from tests.support.random_splats import FIELDS, random_splat, splats

HALF_TURN = np.diag([1.0, -1.0, -1.0])
"""From our world (y down, z forward) to that of the format (y up, z backwards), and back."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unpacked:
    """The content of a file as the specification words it, in the format's own frame."""

    bits: int
    means: np.ndarray
    alphas: np.ndarray
    dc: np.ndarray
    log_scales: np.ndarray
    rotations: np.ndarray
    """Matrices."""
    sh: np.ndarray


def unpack(file: Path) -> Unpacked:
    """A reader of version 3, byte by byte."""
    content = gzip.decompress(file.read_bytes())
    magic, version, count, degree, bits, flags, reserved = struct.unpack_from("<4sIIBBBB", content)
    assert (magic, version, flags, reserved) == (b"NGSP", 3, 0, 0)
    values = iter(content[16:])

    def triples(of_one: float = 0.0, scale: float = 1.0) -> list[float]:
        return [next(values) / scale - of_one for _ in range(3)]

    def mean() -> list[float]:
        numbers = [bytes(next(values) for _ in range(3)) for _ in range(3)]
        return [int.from_bytes(one, "little", signed=True) / 2**bits for one in numbers]

    def rotation() -> np.ndarray:
        word = f"{int.from_bytes(bytes(next(values) for _ in range(4)), 'little'):032b}"
        largest = int(word[:2], 2)
        small = [
            (-1) ** int(word[at]) * int(word[at + 1 : at + 10], 2) / 511 * math.sqrt(0.5)
            for at in (2, 12, 22)
        ]
        small.insert(largest, math.sqrt(1 - sum(one * one for one in small)))
        return Rotation.from_quat(small).as_matrix()

    found = Unpacked(
        bits=bits,
        means=np.array([mean() for _ in range(count)]),
        alphas=np.array([next(values) / 255 for _ in range(count)]),
        dc=(np.array([triples(0.5, 255) for _ in range(count)])) / 0.15,
        log_scales=np.array([triples(10, 16) for _ in range(count)]),
        rotations=np.array([rotation() for _ in range(count)]),
        sh=np.array(
            [[triples(1, 128) for _ in range((degree + 1) ** 2 - 1)] for _ in range(count)]
        ),
    )
    assert next(values, None) is None
    return found


def rotations_of(gaussians: Gaussians) -> np.ndarray:
    return Rotation.from_quat(gaussians.quats.double().numpy(), scalar_first=True).as_matrix()


def angles(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(some @ others.transpose(0, 2, 1)).magnitude()


MAX_ANGLE = 4 * math.sqrt(3) / (1022 * math.sqrt(2)) * 1.01
"""Three components are off by at most d = 1 / (1022 sqrt 2), and with the largest, which is at
least 1/2, by at most 3 d in the fourth: 2 sqrt(3) d in all. The angle is twice that."""


def assert_close(gaussians: Gaussians, found: Unpacked) -> None:
    """Within half a step of what the format can say."""
    turned = gaussians.means.double().numpy() @ HALF_TURN
    assert np.abs(found.means - turned).max() <= 0.5 / 2**found.bits
    shares = 1 / (1 + np.exp(-gaussians.logit_opacities.double().numpy()))
    assert np.abs(found.alphas - shares).max() <= 0.5 / 255 + 1e-12
    assert np.abs(found.dc - gaussians.sh[:, 0].double().numpy()).max() <= 0.5 / 255 / 0.15 + 1e-12
    assert np.abs(found.log_scales - gaussians.log_scales.double().numpy()).max() <= 0.5 / 16
    # The axes of a Gaussian, seen from the other world; which way each points means nothing.
    expected = HALF_TURN @ rotations_of(gaussians) @ HALF_TURN
    assert angles(found.rotations, expected).max() <= MAX_ANGLE


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaussians=splats(of_spz=True))
def test_written_values_match_the_splat_to_half_a_quantisation_step(
    tmp_path: Path, gaussians: Gaussians
) -> None:
    write_spz(tmp_path / "splat.spz", gaussians)
    found = unpack(tmp_path / "splat.spz")
    assert_close(gaussians, found)
    farthest = gaussians.means.abs().max().item()
    assert found.bits == 23 or farthest * 2 ** (found.bits + 1) > 2**23 - 1  # no bit is left
    expected = np.abs(gaussians.sh[:, 1:].double().numpy())
    if expected.size:
        assert np.abs(np.abs(found.sh) - expected).max() <= 0.5 / 128


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaussians=splats(of_spz=True))
def test_a_written_splat_is_read_back_as_quantised(tmp_path: Path, gaussians: Gaussians) -> None:
    write_spz(tmp_path / "splat.spz", gaussians)
    expected, found = unpack(tmp_path / "splat.spz"), read_spz(tmp_path / "splat.spz")
    np.testing.assert_allclose(found.means.numpy(), expected.means @ HALF_TURN, rtol=1e-6)
    np.testing.assert_allclose(found.log_scales.numpy(), expected.log_scales, rtol=1e-6)
    np.testing.assert_allclose(found.sh[:, 0].numpy(), expected.dc, atol=1e-6)
    turned = HALF_TURN @ expected.rotations @ HALF_TURN
    assert angles(rotations_of(found), turned).max() < 1e-6
    np.testing.assert_allclose(found.quats.norm(dim=1).numpy(), 1, atol=1e-6)
    assert found.logit_opacities.isfinite().all()
    shares = found.logit_opacities.double().sigmoid().numpy()
    np.testing.assert_allclose(shares, expected.alphas, atol=0.25 / 255 + 1e-6)
    assert ((found.sh - gaussians.sh)[:, 1:].abs() <= 0.5 / 128).all()


def test_harmonics_are_rotated_with_the_world_axes(tmp_path: Path) -> None:
    """gsplat's harmonics in the file's world, looked at from the turned direction."""
    gaussians = random_splat(200, 3)
    write_spz(tmp_path / "splat.spz", gaussians)
    found = unpack(tmp_path / "splat.spz")
    directions = torch.randn(200, 3, generator=torch.Generator().manual_seed(1)).double()
    theirs = torch.from_numpy(np.concatenate([found.dc[:, None], found.sh], axis=1))
    seen = _spherical_harmonics(3, directions @ torch.from_numpy(HALF_TURN), theirs)
    expected = _spherical_harmonics(3, directions, gaussians.sh.double())
    # Sixteen harmonics of unit length sum to 4 / sqrt(4 pi); steps are 1/128 or 1/38.
    assert (seen - expected).abs().max() <= 4 / math.sqrt(4 * math.pi) * math.sqrt(16) / 256
    assert (seen - expected).abs().max() < 0.05 * expected.abs().max()


FOREIGN = b64decode(
    "H4sIAFBeAWsA//NzDw5gZmBgAGFGHiAhwcBw5z+DEQPDj/9AHsMCBgYHNoYJ/xlYGBoe8jQsi5xcduYTb3NCRsOC"
    "FRsEbAKASg5kLp1qFn1LytA3MDQyNjE1M7ewtLK2sbWzd+LUmXMXLl25duNWALqDgNNnAAAA"
)
"""Three Gaussians as gsply 0.4.6 (MIT) writes them. Niantic's own reader (the WebAssembly build
in @spz-loader/core 0.3.1), asked for x right, y down, z forward, reads the values below."""


def test_a_file_of_another_program_is_read_as_by_the_reference_reader(
    tmp_path: Path,
) -> None:
    (tmp_path / "splat.spz").write_bytes(FOREIGN)
    found = read_spz(tmp_path / "splat.spz")
    means = [[1.5, 2.25, -3.125], [-0.5, 0, -10], [100, 7, -0.25]]
    np.testing.assert_array_equal(found.means.numpy(), means)
    log_scales = [[-4, -3.5, -2], [0, 0.5, 1], [-9, -6.25, -5]]
    np.testing.assert_array_equal(found.log_scales.numpy(), log_scales)
    xyzw = [
        [0, 0, 0, 1],
        [0.50137389, 0.49954119, -0.49954119, 0.49954119],
        [0.88204712, 0.37776935, 0.25184625, -0.12592313],
    ]
    expected = Rotation.from_quat(xyzw).as_matrix()
    assert angles(rotations_of(found), expected).max() < 1e-6
    alphas = [0.50196081, 0.88235295, 0.04705882]
    np.testing.assert_allclose(found.logit_opacities.sigmoid().numpy(), alphas, atol=1e-6)
    colours = [
        [0.50368631, 0.78384316, 0.21615689],
        [0.64376473, 0.42996079, 1.06400001],
        [1.34415686, -0.34415683, 0.52580398],
    ]  # with a constant harmonic of 0.282 there
    np.testing.assert_allclose(0.5 + 0.2820948 * found.sh[:, 0].numpy(), colours, atol=3e-4)
    np.testing.assert_array_equal(
        found.sh[0, 1:].numpy(),
        [
            [0.3984375, 0.3671875, 0.3359375],
            [0.3046875, 0.2734375, 0.2421875],
            [-0.2109375, -0.1796875, -0.1484375],
        ],
    )


def as_version_2(gaussians: Gaussians) -> bytes:
    """A writer of version 2 and degree 0 with 12 fractional bits, in the format's frame."""
    content = struct.pack("<4sIIBBBB", b"NGSP", 2, len(gaussians), 0, 12, 1, 0)
    for mean in gaussians.means.double().numpy() @ HALF_TURN:
        for value in mean:
            content += round(value * 4096).to_bytes(3, "little", signed=True)
    content += bytes(round(255 / (1 + math.exp(-x))) for x in gaussians.logit_opacities.tolist())
    for colour in gaussians.sh[:, 0].tolist():
        content += bytes(round(255 * (0.15 * x + 0.5)) for x in colour)
    for scales in gaussians.log_scales.tolist():
        content += bytes(round(16 * (x + 10)) for x in scales)
    for matrix in HALF_TURN @ rotations_of(gaussians) @ HALF_TURN:
        x, y, z, _ = Rotation.from_matrix(matrix).as_quat(canonical=True)
        content += bytes(round(127.5 * (value + 1)) for value in (x, y, z))
    return gzip.compress(content)


def test_spz_version_2_is_read(tmp_path: Path) -> None:
    gaussians = random_splat(300, 0)
    (tmp_path / "splat.spz").write_bytes(as_version_2(gaussians))
    found = read_spz(tmp_path / "splat.spz")
    assert (found.means - gaussians.means).abs().max() <= 0.5 / 4096 + 1e-6
    assert (found.log_scales - gaussians.log_scales).abs().max() <= 0.5 / 16 + 1e-6
    shares = found.logit_opacities.sigmoid() - gaussians.logit_opacities.sigmoid()
    assert shares.abs().max() <= 0.5 / 255 + 1e-6
    assert (found.sh - gaussians.sh).abs().max() <= 0.5 / 255 / 0.15 + 1e-6
    # Steps of 1/127.5 in xyz; w, which is derived, suffers where it is small.
    turn = angles(rotations_of(found), rotations_of(gaussians))
    assert np.median(turn) < 0.02
    assert turn.max() < 0.25


def test_values_out_of_range_are_clamped(tmp_path: Path) -> None:
    gaussians = random_splat(2, 1)
    gaussians.log_scales[:] = torch.tensor([[-50.0], [50.0]])
    gaussians.logit_opacities[:] = torch.tensor([-200.0, 200.0])
    gaussians.sh[:] = torch.tensor([[[-20.0]], [[20.0]]])
    write_spz(tmp_path / "splat.spz", gaussians)
    found = read_spz(tmp_path / "splat.spz")
    np.testing.assert_allclose(found.log_scales.numpy(), [[-10] * 3, [5.9375] * 3])
    np.testing.assert_allclose(found.sh[:, 0].numpy(), [[-10 / 3] * 3, [10 / 3] * 3], rtol=1e-6)
    assert found.sh[:, 1:].abs().max() == 1
    assert found.sh[:, 1:].abs().min() == 127 / 128
    np.testing.assert_allclose(
        found.logit_opacities.sigmoid().numpy(), [0.25 / 255, 1 - 0.25 / 255], rtol=1e-5
    )


def test_renders_hardly_change_by_quantisation(tmp_path: Path) -> None:
    """A painted plane of flat Gaussians, before and after."""
    x, y = torch.meshgrid(torch.linspace(-2, 2, 60), torch.linspace(-1.4, 1.4, 42), indexing="xy")
    gaussians = random_splat(x.numel(), 3)
    gaussians.means[:] = torch.stack([x.ravel(), y.ravel(), torch.zeros(x.numel())], dim=1)
    gaussians.log_scales[:] = torch.tensor([0.05, 0.05, 0.01]).log()
    write_spz(tmp_path / "splat.spz", gaussians)
    found = read_spz(tmp_path / "splat.spz")
    cameras = photograph().cameras
    for index in (0, 7):
        before, after = (render(one, cameras, index).rgb for one in (gaussians, found))
        assert before.std() > 0.1
        psnr_db = -10 * math.log10(((before - after) ** 2).mean().item())
        assert psnr_db > 40


def test_equal_splats_give_equal_bytes_at_a_quarter_of_the_size(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_spz(tmp_path / f"{name}.spz", random_splat(2000, 3))
    write_ply(tmp_path / "a.ply", random_splat(2000, 3))
    assert (tmp_path / "a.spz").read_bytes() == (tmp_path / "b.spz").read_bytes()
    sizes = [(tmp_path / f"a.{form}").stat().st_size for form in ("spz", "ply")]
    assert 4 * sizes[0] < sizes[1]  # these are random numbers, which do not compress


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (0, 0, "does not begin with the header of an SPZ file"),
        (4, 4, "of version 4 with harmonics of degree 1"),
        (4, 1, "of version 1 with harmonics of degree 1"),
        (12, 4, "of version 3 with harmonics of degree 4"),
        (14, 2, "and flags 0x2"),
        (8, 6, "announces 6 Gaussians in 174 bytes and 145 follow"),
    ],
)
def test_files_of_other_formats_are_refused(
    tmp_path: Path, at: int, value: int, sentence: str
) -> None:
    write_spz(tmp_path / "splat.spz", random_splat(5, 1))
    content = bytearray(gzip.decompress((tmp_path / "splat.spz").read_bytes()))
    content[at] = value
    (tmp_path / "splat.spz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(InputError, match=sentence):
        read_spz(tmp_path / "splat.spz")


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    write_spz(tmp_path / "whole.spz", random_splat(50, 1))
    content = (tmp_path / "whole.spz").read_bytes()
    for length in (*range(0, len(content), 61), len(content) - 1):
        (tmp_path / "splat.spz").write_bytes(content[:length])
        with pytest.raises(InputError, match=r"cut off|does not begin"):
            read_spz(tmp_path / "splat.spz")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    gaussians = random_splat(50, 1)
    write_spz(tmp_path / "splat.spz", gaussians)
    content = bytearray((tmp_path / "splat.spz").read_bytes())
    content[-8] ^= 1  # of gzip's checksum
    (tmp_path / "splat.spz").write_bytes(content)
    with pytest.raises(InputError, match="could not be read"):
        read_spz(tmp_path / "splat.spz")


def test_uncompressed_and_missing_files_are_refused(tmp_path: Path) -> None:
    write_ply(tmp_path / "splat.spz", random_splat(5, 1))
    with pytest.raises(InputError, match=r"could not be read .* compressed with gzip"):
        read_spz(tmp_path / "splat.spz")
    with pytest.raises(InputError, match="could not be read"):
        read_spz(tmp_path / "missing.spz")


def test_a_splat_too_large_for_the_format_is_refused(tmp_path: Path) -> None:
    gaussians = random_splat(5, 0)
    gaussians.means[2, 1] = 2.0**23
    with pytest.raises(InputError, match=r"lies 8.39e\+06 units from the origin"):
        write_spz(tmp_path / "splat.spz", gaussians)
    gaussians.means[2, 1] = 2.0**23 - 1
    write_spz(tmp_path / "splat.spz", gaussians)
    assert read_spz(tmp_path / "splat.spz").means[2, 1] == 2.0**23 - 1


def test_empty_fields_of_a_splat_are_written_and_read(tmp_path: Path) -> None:
    write_spz(tmp_path / "splat.spz", random_splat(1, 0))
    found = read_spz(tmp_path / "splat.spz")
    assert [getattr(found, field).shape[0] for field in FIELDS] == [1] * 5
    assert found.sh.shape == (1, 1, 3)
