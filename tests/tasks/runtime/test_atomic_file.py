"""Atomic file writes: the new content, the old content or an error."""

import itertools
from pathlib import Path

import pytest

from tasks.errors import InputError, MachineError
from tasks.runtime.atomic_file import atomic_file, check_file


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "splat.ply"
    file.write_bytes(b"old")

    def broken_off(part: bytes, error: type[BaseException]) -> None:
        with atomic_file(file) as writing:
            writing.write(part)
            assert file.read_bytes() == b"old"
            raise error

    for part, error in itertools.product((b"", b"new"), (KeyboardInterrupt, ValueError)):
        with pytest.raises(error):
            broken_off(part, error)
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == b"old"
    with atomic_file(file) as writing:
        writing.write(b"new")
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == b"new"


def test_an_unwritable_file_is_refused_before_and_after_writing(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "weights.safetensors")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "weights.safetensors"):
        with pytest.raises(InputError, match="cannot be written"):
            check_file(place)
        with pytest.raises(MachineError, match="could not be written"), atomic_file(place) as file:
            file.write(b"new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "new"]
