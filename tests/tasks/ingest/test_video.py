"""Videos that the tests write with FFmpeg, by its bindings."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from tasks.errors import InputError
from tasks.ingest.config import IngestConfig, VideoConfig
from tasks.ingest.source import digest_source, find_files
from tasks.ingest.video import Video, intervals_s, read_video
from tests.support.ingested import ingested
from tests.support.real_scenes import scene_folder

PATTERN = np.random.default_rng(3).integers(0, 256, (20, 40, 3)).repeat(8, axis=0).repeat(8, axis=1)


def pictures(count: int, sharp: Sequence[int] | None = None) -> list[np.ndarray]:
    """96x64 windows that move over a pattern of squares; blurred where they are not ``sharp``."""
    windows = [PATTERN[i : 64 + i, 2 * i : 96 + 2 * i].astype(np.uint8) for i in range(count)]
    return [
        window if sharp is None or index in sharp else gaussian_filter(window, (3, 3, 0))
        for index, window in enumerate(windows)
    ]


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    times_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    rotation: int = 0,
    aspect: Fraction | None = None,
) -> Path:
    """Nearly lossless, at ten frames a second where no times are given."""
    times_ms = times_ms or [100 * index for index in range(len(frames))]
    options = {"libx264": {"crf": "1"}, "libvpx-vp9": {"crf": "4", "b": "0", "cpu-used": "8"}}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options.get(codec, {"q": "1"}))
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        # AVI has no times: it counts frames, and a finer clock would fill it with empty ones.
        stream.codec_context.time_base = Fraction(1, 10 if codec == "mjpeg" else 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for picture, time_ms in zip(frames, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def config(**video: object) -> IngestConfig:
    return IngestConfig(video=VideoConfig.model_validate(video))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("walk.mp4", "libx264"),
        ("walk.mov", "libx264"),
        ("walk.mkv", "libx264"),
        ("walk.webm", "libvpx-vp9"),
        ("walk.AVI", "mjpeg"),
        ("walk.m4v", "libx264"),
    ],
)
def test_every_frame_of_a_short_video_becomes_a_photo(
    tmp_path: Path, name: str, codec: str
) -> None:
    frames = pictures(8)
    write_video(tmp_path / name, frames, codec=codec)

    photos, _ = ingested(tmp_path)

    assert photos.kind == "video"
    assert photos.names == tuple(f"walk_{index:06d}.png" for index in range(8))
    assert {info.camera for info in photos.infos} == {"video|walk|96x64"}
    for index in range(8):
        errors = [np.abs(photos.pixels(index).astype(float) - frame).mean() for frame in frames]
        assert np.argmin(errors) == index
        means = [pixels.mean(axis=(0, 1)) for pixels in (photos.pixels(index), frames[index])]
        np.testing.assert_allclose(*means, atol=2)


def test_the_sharpest_frame_of_each_interval_is_selected(tmp_path: Path) -> None:
    sharp = [2, 5, 13, 19]
    video = write_video(tmp_path / "walk.mp4", pictures(20, sharp))
    photos, _ = ingested(video, config(frames=4))
    assert photos.names == tuple(f"walk_{index:06d}.png" for index in sharp)


def test_intervals_are_measured_in_time_and_not_in_frames(tmp_path: Path) -> None:
    """Ten frames in the first second, then one each second: a second gives one photo."""
    times_ms = [*range(0, 1000, 100), 1000, 2000, 3000, 4000]
    video = write_video(tmp_path / "walk.mkv", pictures(14, [7]), times_ms=times_ms)
    photos, _ = ingested(video, config(every_s=1.0))
    assert [int(name[5:11]) for name in photos.names] == [7, 10, 11, 12, 13]


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_frames_are_rotated_by_the_display_matrix(tmp_path: Path, degrees: int, turns: int) -> None:
    plain = write_video(tmp_path / "walk.mp4", pictures(3))
    upright, _ = ingested(plain)
    rotated = write_video(tmp_path / "turned.mp4", pictures(3), rotation=degrees)
    photos, _ = ingested(rotated)
    np.testing.assert_array_equal(photos.pixels(0), np.rot90(upright.pixels(0), turns))
    size = (96, 64) if turns == 2 else (64, 96)
    assert photos.infos[0].source_size == photos.infos[0].size == size


def test_a_phone_held_upright_gives_upright_photos(tmp_path: Path) -> None:
    """The matrix that phones write, set in the file's bytes: shown turned by 90 degrees clockwise.

    ISO/IEC 14496-12, 8.3.2: p' = (x, y, 1) (a b u; c d v; tx ty w), so x' = -y + width, y' = x.
    """
    plain = write_video(tmp_path / "walk.mp4", pictures(3))
    upright, _ = ingested(plain)
    content = bytearray(plain.read_bytes())
    header = content.index(b"tkhd") + 4
    one = 1 << 16
    matrix = [0, one, 0, -one, 0, 0, 64 * one, 0, 1 << 30]
    packed = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    content[header + 40 : header + 76] = packed
    (tmp_path / "phone.mp4").write_bytes(content)
    photos, _ = ingested(tmp_path / "phone.mp4")
    np.testing.assert_array_equal(photos.pixels(0), np.rot90(upright.pixels(0), -1))


COLOURS = np.array([[220, 30, 40], [30, 200, 50], [20, 40, 210], [90, 90, 90]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "matrix", "tagged"),
    [
        ((320, 240), "ITU601", False),
        ((1280, 720), "ITU709", False),
        ((320, 240), "ITU601", True),
        ((320, 240), "ITU709", True),
    ],
)
def test_frame_colours_match_the_encoded_colours(
    tmp_path: Path, size: tuple[int, int], matrix: str, tagged: bool
) -> None:
    """By the file's matrix where it names one, else by the one that goes with its size."""
    width, height = size
    with av.open(str(tmp_path / "walk.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if tagged:
            stream.codec_context.colorspace = av.video.reformatter.Colorspace[matrix].value
        for index in range(3):
            stripes = np.roll(COLOURS, index, axis=0).repeat(height // 4, axis=0)
            picture = np.ascontiguousarray(np.tile(stripes[:, None], (1, width, 1)))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    photos, _ = ingested(tmp_path)

    middles = photos.pixels(0)[height // 8 :: height // 4, width // 2]
    np.testing.assert_allclose(middles.astype(int), COLOURS.astype(int), atol=4)


def test_anamorphic_frames_are_resampled_to_square_pixels(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", pictures(3), aspect=Fraction(4, 3))
    photos, _ = ingested(video)
    assert photos.infos[0].size == (128, 64)


def test_frames_are_reduced_as_photos_are(tmp_path: Path) -> None:
    large = [np.kron(p, np.ones((3, 3, 1), dtype=np.uint8)) for p in pictures(3)]
    video = write_video(tmp_path / "walk.mp4", large)
    photos, _ = ingested(video, IngestConfig(max_size=96))
    assert (photos.infos[0].source_size, photos.infos[0].size) == ((288, 192), (96, 64))


def test_frozen_and_black_frames_are_left_out(tmp_path: Path) -> None:
    moving = pictures(5)
    frames = [np.zeros_like(moving[0]), *moving]
    photos, _ = ingested(write_video(tmp_path / "walk.mp4", frames))
    assert [each.name for each in photos.rejected] == ["walk_000000.png"]
    assert photos.rejected[0].reason.startswith("is black")


def test_several_videos_share_the_frames_by_their_length(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", pictures(20))
    write_video(tmp_path / "a short.mp4", [p[::-1] for p in pictures(10)])
    photos, _ = ingested(tmp_path, config(frames=6))
    stems = [name.rsplit("_", 1)[0] for name in photos.names]
    assert stems == ["a short"] * 2 + ["long"] * 4
    assert {info.camera for info in photos.infos} == {"video|a short|96x64", "video|long|96x64"}


def test_intervals_cover_the_whole_duration() -> None:
    videos = [
        Video(path=Path(f"{s}.mp4"), start_s=0.0, duration_s=s, pixel_aspect=1.0)
        for s in (30.0, 10.0, 0.1)
    ]
    lengths = intervals_s(videos, VideoConfig(frames=40))
    counts = [video.duration_s / length for video, length in zip(videos, lengths, strict=True)]
    np.testing.assert_allclose(counts, [29, 9, 1])
    assert intervals_s(videos, VideoConfig(every_s=0.5)) == [0.5] * 3


def test_photos_take_precedence_over_videos(scene: Path) -> None:
    write_video(scene / "walk.mp4", pictures(3))
    files = find_files(scene)
    assert (files.kind, files.videos) == ("photos", ())


def test_the_digest_covers_a_video(tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    video = write_video(tmp_path / "scene/walk.mp4", pictures(3))
    before = digest_source(tmp_path / "scene").digest
    assert digest_source(video).digest == before
    write_video(video, pictures(4))
    assert digest_source(video).digest != before


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
@pytest.mark.parametrize("name", ["walk.mp4", "walk.mkv", "walk.AVI"])
def test_truncated_videos_are_refused(tmp_path: Path, name: str, share: float) -> None:
    codec = "mjpeg" if name.endswith("AVI") else "libx264"
    video = write_video(tmp_path / name, pictures(20), codec=codec)
    content = video.read_bytes()
    video.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=rf"^the video {name} (cannot be decoded|is truncated)"):
        ingested(video)


@pytest.mark.parametrize("content", [b"", b"text", b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n"])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "walk.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"the video walk.mp4 (is empty|cannot be decoded)"):
        ingested(tmp_path)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "walk.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(InputError, match=r"the video walk.mkv (holds no|cannot be decoded)"):
        ingested(tmp_path)


def test_a_video_of_one_frame_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mkv", pictures(1))
    with pytest.raises(InputError, match=r"holds 1 photo"):
        ingested(tmp_path)


def test_a_video_too_large_to_decode_is_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", pictures(3))
    with pytest.raises(InputError, match=r"walk.mp4 is too large: 96x64"):
        ingested(video, IngestConfig(max_pixels=5000))


def test_videos_whose_frames_would_have_equal_names_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pictures(3))
    write_video(tmp_path / "walk.mkv", pictures(3))
    with pytest.raises(InputError, match=r"differ in their ending only \(walk.mkv, walk.mp4\)"):
        find_files(tmp_path)


def camera_of(frame: int) -> dict[str, object]:
    return {
        "image": f"{frame}.jpg",
        "frame": frame,
        "width": 96,
        "height": 64,
        "fx": 80.0,
        "fy": 80.0,
        "cx": 48.0,
        "cy": 32.0,
        "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "t": [float(frame), 0, 0],
    }


def test_posed_selects_exactly_the_frames_with_cameras(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pictures(12))
    cameras = [camera_of(frame) for frame in (9, 1, 4, 50)]
    (tmp_path / "cameras_gt.json").write_text(json.dumps(cameras))

    photos, _ = ingested(tmp_path, config(take="posed"))

    assert photos.names == ("walk_000001.png", "walk_000004.png", "walk_000009.png")
    assert [each.name for each in photos.rejected] == ["walk_000050.png"]
    assert photos.rejected[0].reason.startswith("is missing: walk.mp4 has no whole frame")
    cameras_read = photos.reference()
    assert cameras_read is not None
    np.testing.assert_array_equal(cameras_read.centres, [[-1, 0, 0], [-4, 0, 0], [-9, 0, 0]])
    assert photos.reference_kind == "cameras_gt"


def test_without_posed_the_cameras_of_the_selected_frames_remain(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pictures(12, [1, 4, 9]))
    cameras = [camera_of(frame) for frame in (1, 3, 9)]
    (tmp_path / "cameras_gt.json").write_text(json.dumps(cameras))
    photos, _ = ingested(tmp_path, config(frames=3))
    assert len(photos) == 3
    cameras_read = photos.reference()
    assert cameras_read is not None
    assert cameras_read.names == ("walk_000001.png", "walk_000009.png")


def test_transforms_with_posed_select_the_named_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pictures(12))
    frames = [
        {"file_path": f"walk_{index:06d}.png", "transform_matrix": np.eye(4).tolist()}
        for index in (2, 3, 11)
    ]
    content = {"camera_angle_x": 1.0, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    photos, _ = ingested(tmp_path)
    assert photos.names == ("walk_000002.png", "walk_000003.png", "walk_000011.png")
    assert photos.reference_kind == "transforms"


def test_posed_without_cameras_is_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", pictures(3))
    with pytest.raises(InputError, match=r"neither cameras_gt.json nor transforms.json stands"):
        ingested(video, config(take="posed"))


def test_frames_may_have_masks_and_depth(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pictures(4))
    for folder in ("masks", "depth"):
        (tmp_path / folder).mkdir()
    used = np.zeros((64, 96), dtype=np.uint8)
    used[:, 10:] = 255
    Image.fromarray(used).save(tmp_path / "masks/walk_000002.png")
    Image.fromarray(used.astype(np.uint16)).save(tmp_path / "depth/walk_000001.png")
    photos, _ = ingested(tmp_path)
    assert photos.mask_names == ("walk_000002.png",)
    np.testing.assert_array_equal(photos.mask("walk_000002.png"), used > 0)
    assert photos.depth_names == ("walk_000001.png",)


def test_a_real_video_gives_its_frames_spread_over_time() -> None:
    path = scene_folder("hololens_a") / "video.mp4"
    assert read_video(path, 10**6).duration_s == pytest.approx(8.0)
    photos, _ = ingested(path, config(frames=20))
    assert [int(name[6:12]) // 4 for name in photos.names] == list(range(20))


def test_posed_frames_of_a_real_video_match_its_photos_and_cameras(tmp_path: Path) -> None:
    """hololens_a: its photos are frames of its video, which starts with the photo 00063."""
    folder = scene_folder("hololens_a")
    (tmp_path / "video.mp4").symlink_to((folder / "video.mp4").resolve())
    entries = json.loads((folder / "cameras_gt.json").read_text())
    for entry in entries:
        entry["frame"] = int(Path(entry["image"]).stem) - 63
    (tmp_path / "cameras_gt.json").write_text(json.dumps(entries))

    photos, _ = ingested(tmp_path, config(take="posed"))

    assert len(photos) == 40
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == photos.names
    for index, entry in enumerate(entries):
        with Image.open(folder / "images" / entry["image"]) as image:
            difference = photos.pixels(index).astype(float) - np.asarray(image)
        assert np.sqrt(np.mean(difference**2)) < 6  # a neighbouring frame: 30 and more
        np.testing.assert_allclose(cameras.camera_from_world[index, :3, 3], entry["t"])
