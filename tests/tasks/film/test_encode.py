"""Films, decoded with an independent part of the library that encoded them."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.errors import InputError, MachineError
from tasks.film.encode import write_film


def frames(count: int, height: int, width: int) -> list[np.ndarray]:
    """Smooth colours that change from frame to frame."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x / width, y / height, (x + y) / (width + height)], axis=2)
    return [np.round(255 * (0.2 + 0.5 * ramp + 0.02 * i)).astype(np.uint8) for i in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_film_contains_the_given_frames(tmp_path: Path, suffix: str) -> None:
    given = frames(12, 49, 66)
    write_film(tmp_path / f"film{suffix}", given, frames_per_second=24)
    with av.open(str(tmp_path / f"film{suffix}")) as container:
        assert container.streams.video[0].average_rate == 24
        seen = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(seen) == len(given)
    for one, other in zip(seen, given, strict=True):
        assert one.shape == (48, 66, 3)
        assert np.abs(one.astype(int) - other[:48]).mean() < 4


def test_an_aborted_film_leaves_no_file(tmp_path: Path) -> None:
    def breaking() -> Iterator[np.ndarray]:
        yield from frames(3, 32, 32)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        write_film(tmp_path / "film.mp4", breaking())
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"film\.mp4' could not be written"):
        write_film(tmp_path / "file" / "film.mp4", frames(1, 32, 32))


def test_an_unknown_file_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not end in one of \.mp4"):
        write_film(tmp_path / "film.gif", frames(1, 32, 32))
