"""PLY files against the original's layout written out by hand, and against gsplat's exporter."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from gsplat import export_splats
from hypothesis import HealthCheck, given, settings

from tasks.errors import InputError, MachineError
from tasks.gaussians import Gaussians
from tasks.splat.export.ply import read_ply, write_ply
from tests.support.random_splats import FIELDS, random_splat, splats

LINEAR = """ply
format binary_little_endian 1.0
element vertex 2
property float x
property float y
property float z
property float nx
property float ny
property float nz
property float f_dc_0
property float f_dc_1
property float f_dc_2
property float f_rest_0
property float f_rest_1
property float f_rest_2
property float f_rest_3
property float f_rest_4
property float f_rest_5
property float f_rest_6
property float f_rest_7
property float f_rest_8
property float opacity
property float scale_0
property float scale_1
property float scale_2
property float rot_0
property float rot_1
property float rot_2
property float rot_3
end_header
"""
"""The header of the original for a splat of degree 1."""


def assert_equal(found: Gaussians, expected: Gaussians) -> None:
    for field in FIELDS:
        one, other = getattr(found, field), getattr(expected, field)
        assert torch.equal(one.view(torch.int32), other.view(torch.int32)), field


def as_gsplat_writes(gaussians: Gaussians, form: str = "ply") -> bytes:
    return export_splats(
        gaussians.means,
        gaussians.log_scales,
        gaussians.quats,
        gaussians.logit_opacities,
        gaussians.sh[:, :1],
        gaussians.sh[:, 1:],
        format=form,
    )


def test_the_ply_file_matches_the_original_layout_byte_for_byte(tmp_path: Path) -> None:
    rows = [[100.0 * row + column for column in range(23)] for row in (1, 2)]
    tensor = torch.tensor(rows)
    # In the file all of red comes first; here a harmonic's three channels stand together.
    harmonics = tensor[:, [3, 4, 5, 6, 9, 12, 7, 10, 13, 8, 11, 14]].reshape(2, 4, 3)
    gaussians = Gaussians(
        means=tensor[:, :3],
        sh=harmonics,
        logit_opacities=tensor[:, 15],
        log_scales=tensor[:, 16:19],
        quats=tensor[:, 19:],
    )
    write_ply(tmp_path / "splat.ply", gaussians)
    expected = LINEAR.encode()
    for row in rows:
        expected += struct.pack("<26f", *row[:3], 0.0, 0.0, 0.0, *row[3:])
    assert (tmp_path / "splat.ply").read_bytes() == expected


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_ply_file_of_gsplat_has_the_same_values_and_is_read_back(
    tmp_path: Path, degree: int
) -> None:
    gaussians = random_splat(40, degree)
    theirs = as_gsplat_writes(gaussians)
    (tmp_path / "theirs.ply").write_bytes(theirs)
    assert_equal(read_ply(tmp_path / "theirs.ply"), gaussians)

    write_ply(tmp_path / "ours.ply", gaussians)
    ours = (tmp_path / "ours.ply").read_bytes()
    header, body = ours.split(b"end_header\n", 1)
    their_header, their_body = theirs.split(b"end_header\n", 1)
    normals = b"property float nx\nproperty float ny\nproperty float nz\n"
    assert header.replace(normals, b"") == their_header
    rows = np.frombuffer(body, "<f4").reshape(40, -1)
    np.testing.assert_array_equal(rows[:, 3:6], 0)
    assert np.delete(rows, [3, 4, 5], axis=1).tobytes() == their_body


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaussians=splats())
def test_any_splat_is_read_back_bit_for_bit(tmp_path: Path, gaussians: Gaussians) -> None:
    write_ply(tmp_path / "splat.ply", gaussians)
    assert_equal(read_ply(tmp_path / "splat.ply"), gaussians)


def test_ply_properties_are_read_in_any_order_among_others(tmp_path: Path) -> None:
    gaussians = random_splat(7, 1)
    values = np.concatenate(
        [
            gaussians.means,
            gaussians.sh[:, 0],
            gaussians.sh[:, 1:].transpose(1, 2).flatten(1),
            gaussians.logit_opacities[:, None],
            gaussians.log_scales,
            gaussians.quats,
        ],
        axis=1,
    )
    properties = [line.split() for line in LINEAR.splitlines() if line.startswith("property")]
    names = [words[-1] for words in properties if words[-1] not in ("nx", "ny", "nz")]
    columns = dict(zip(names, values.T, strict=True))
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    fields = [*((name, "<f8" if name == "y" else "<f4") for name in shuffled), ("red", "u1")]
    rows = np.zeros(7, dtype=fields)
    for name, column in columns.items():
        rows[name] = column
    kinds = {"<f4": "float32", "<f8": "double", "u1": "uchar"}
    header = "ply\r\nformat binary_little_endian 1.0\r\ncomment made by hand\r\nobj_info none\r\n"
    header += "element vertex 7\r\n"
    header += "".join(f"property {kinds[kind]} {name}\r\n" for name, kind in fields)
    header += "element face 1\r\nproperty list uchar int vertex_index\r\nend_header\r\n"
    (tmp_path / "splat.ply").write_bytes(header.encode() + rows.tobytes() + b"\1\0\0\0\0")
    assert_equal(read_ply(tmp_path / "splat.ply"), gaussians)


def written(folder: Path, gaussians: Gaussians | None = None) -> bytes:
    write_ply(folder / "whole.ply", gaussians or random_splat(5, 1))
    return (folder / "whole.ply").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b"ply\n", b"plot\n", "does not begin with the header of a PLY file"),
        (b"end_header\n", b"", "does not begin with the header of a PLY file"),
        (b"binary_little_endian 1.0", b"ascii 1.0", "of the format 'ascii 1.0'"),
        (b"format binary_little_endian 1.0\n", b"", "of the format 'none'"),
        (b"element vertex 5", b"element vertex -5", "begins with 'element vertex -5'"),
        (b"element vertex 5", b"element chunk 5", "begins with 'element chunk 5'"),
        (b"element vertex 5", b"element vertex 6", "announces 6 Gaussians of 104 bytes and 520"),
        (b"element vertex 5", b"element vertex 0", "holds no Gaussian"),
        (b"property float opacity\n", b"", "lacks 1 of the 23 float properties"),
        (b"float opacity", b"uchar opacity", r"of a splat \(opacity\)"),
        (b"float nx", b"list uchar int nx", r"\(list uchar int nx\)"),
        (b"float nx", b"float16 nx", r"\(float16 nx\)"),
        (b"float nx", b"float ny", r"one of a name twice"),
        (b"float nx", b"float f_rest_9", "has 10 properties f_rest_"),
        (b"float f_rest_8", b"float f_rest_9", r"\(f_rest_8\)"),
    ],
)
def test_a_ply_file_that_is_no_splat_is_refused(
    tmp_path: Path, old: bytes, new: bytes, sentence: str
) -> None:
    content = written(tmp_path)
    assert old in content
    (tmp_path / "splat.ply").write_bytes(content.replace(old, new, 1))
    with pytest.raises(InputError, match=sentence):
        read_ply(tmp_path / "splat.ply")


def test_a_compressed_splat_is_refused(tmp_path: Path) -> None:
    compressed = as_gsplat_writes(random_splat(300, 0), "ply_compressed")
    (tmp_path / "splat.ply").write_bytes(compressed)
    with pytest.raises(InputError, match="compressed one; export it uncompressed"):
        read_ply(tmp_path / "splat.ply")


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    content = written(tmp_path)
    for length in (*range(0, len(content), 37), len(content) - 1):
        (tmp_path / "splat.ply").write_bytes(content[:length])
        with pytest.raises(InputError, match="cut off"):
            read_ply(tmp_path / "splat.ply")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, field: str, value: float) -> None:
    gaussians = random_splat(5, 1)
    getattr(gaussians, field).view(5, -1)[3, -1] = value
    written(tmp_path, gaussians)
    with pytest.raises(InputError, match=r"in 1 of its 5 Gaussians \(the first is number 3\)"):
        read_ply(tmp_path / "whole.ply")


def test_rotations_of_zero_are_refused(tmp_path: Path) -> None:
    gaussians = random_splat(5, 1)
    gaussians.quats[[1, 4]] = 0
    written(tmp_path, gaussians)
    with pytest.raises(InputError, match="rotations that are 0 in 2 of its 5 Gaussians"):
        read_ply(tmp_path / "whole.ply")


def test_unreadable_and_unwritable_files_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be read"):
        read_ply(tmp_path / "missing.ply")
    with pytest.raises(InputError, match="could not be read"):
        read_ply(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="could not be written"):
        write_ply(tmp_path / "file" / "splat.ply", random_splat(5, 1))


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "splat.ply").write_bytes(b"old")
    write_ply(tmp_path / "splat.ply", random_splat(5, 1))
    assert_equal(read_ply(tmp_path / "splat.ply"), random_splat(5, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["splat.ply"]
