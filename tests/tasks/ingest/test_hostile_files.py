"""Files that are made to hang, fill the memory or deceive: each is refused in a sentence.

Files of holes are as large as they say and take no room on the disk.
"""

import io
import json
import os
import resource
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.colmap_model import read_model
from tasks.ingest.config import IngestConfig
from tasks.ingest.sidecars import read_cameras
from tasks.ingest.transforms import read_transforms
from tasks.refine.config import RefineConfig, Residual
from tasks.refine.weights import find_weights
from tasks.splat.config import Ply
from tasks.splat.export.ply import read_ply
from tasks.splat.init.ply_source import find_start
from tests.support.ingested import ingested

GIB = 2**30


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Eight GiB more than this process has now: an attempt to read a file of holes fails."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 8 * GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def with_holes(file: Path, beginning: bytes, size: int) -> Path:
    file.write_bytes(beginning)
    os.truncate(file, size)
    return file


def jpeg(edge: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (edge // 16, edge // 16, 3))
    written = io.BytesIO()
    image = Image.fromarray(pixels.astype(np.uint8)).resize((edge, edge))
    image.save(written, "JPEG", subsampling=2)
    return written.getvalue()


def motion_jpeg(file: Path, edges: list[int]) -> Path:
    """A video whose header has the first frame's size, whatever those of the others are."""
    with av.open(str(file), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width = stream.height = edges[0]
        stream.pix_fmt = "yuvj420p"
        for index, edge in enumerate(edges):
            packet = av.Packet(jpeg(edge, index))
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)
    return file


def test_a_frame_larger_than_the_header_of_its_video_is_not_decoded(tmp_path: Path) -> None:
    config = IngestConfig(max_pixels=40_000)
    ingested(motion_jpeg(tmp_path / "even.avi", [160] * 4), config)
    bomb = motion_jpeg(tmp_path / "bomb.avi", [160, 160, 160, 1600])
    with pytest.raises(InputError, match=r"the video bomb\.avi"):
        ingested(bomb, config)


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    with pytest.raises(InputError, match="not a regular file"):
        find_weights(tmp_path, RefineConfig(refiner=Residual(weights="file")))
    with pytest.raises(InputError, match="not a regular file"):
        find_start(tmp_path, Ply(file="file"))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("cameras_gt.json", lambda file: read_cameras(file, ["a.jpg"])),
        ("transforms.json", lambda file: read_transforms([file])),
    ],
)
@pytest.mark.usefixtures("little_memory")
def test_cameras_in_a_file_of_holes_are_not_read_into_memory(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    file = with_holes(tmp_path / name, b"[", 1024 * GIB)
    with pytest.raises(InputError, match="is too large"):
        read(file)


@pytest.mark.usefixtures("little_memory")
def test_a_line_without_end_in_a_colmap_model_is_refused(tmp_path: Path) -> None:
    cameras = tmp_path / "cameras.txt"
    cameras.write_text("1 PINHOLE 8 8 8 8 4 4\n")
    endless = with_holes(tmp_path / "images.txt", b"1 1 0 0 0 0 0 0 1 a.jpg\n", 1024 * GIB)
    with pytest.raises(InputError, match="line of more than 64 MiB"):
        read_model(cameras, endless)


def test_a_colmap_model_of_more_images_than_there_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.ingest.colmap_model.MOST_ROWS", 1000)
    cameras = tmp_path / "cameras.bin"
    cameras.write_bytes(struct.pack("<QiiQQ4d", 1, 1, 1, 8, 8, 8, 8, 4, 4))
    images = with_holes(tmp_path / "images.bin", struct.pack("<Q", 10**9), 1024 * GIB)
    with pytest.raises(InputError, match="more than 1000 entries"):
        read_model(cameras, images)


@pytest.mark.usefixtures("little_memory")
def test_a_splat_of_more_gaussians_than_a_fit_has_room_for_is_not_read(tmp_path: Path) -> None:
    names = ["x", "y", "z", *(f"f_dc_{i}" for i in range(3)), "opacity"]
    names += [f"scale_{i}" for i in range(3)] + [f"rot_{i}" for i in range(4)]
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 10000000000\n"
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    file = with_holes(tmp_path / "splat.ply", header.encode(), 1024 * GIB)
    with pytest.raises(InputError, match="announces 10,000,000,000 Gaussians"):
        read_ply(file, 5_000_000)


@pytest.mark.parametrize("place", ["../secret.png", "/etc/secret.png", "a/../../secret.png"])
def test_photos_and_masks_elsewhere_that_transforms_name_are_not_read(
    tmp_path: Path, place: str
) -> None:
    scene = tmp_path / "scene"
    (scene / "a").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for pixels, name in zip(noise, ("a.png", "b.png", "../secret.png"), strict=True):
        Image.fromarray(pixels).save(scene / name)
    named = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    content = {"camera_angle_x": 1.0, "frames": [named, {**named, "file_path": place}]}
    (scene / "transforms.json").write_text(json.dumps(content))
    photos, _ = ingested(scene)
    assert photos.names == ("a.png", "b.png")
    assert photos.rejected[0].reason.startswith("is missing: frame 1")
    content["frames"] = [{**named, "mask_path": place}]
    (scene / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="which is not a path below that folder"):
        ingested(scene)


PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("content", [PLAYLIST, b"ffconcat version 1.0\nfile /etc/hostname\n"])
@pytest.mark.parametrize("name", ["-i.mp4", "concat:a|b.mp4", "http:a.mkv", "walk.avi"])
def test_a_playlist_called_a_video_opens_no_other_file(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be decoded from its"):
        ingested(tmp_path)
