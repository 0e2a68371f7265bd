"""Frames of videos: the sharpest of each interval, or those given by index.

A video's frames are called ``<stem>_<index>.png`` with six digits, so that the order of names is
the order of time; the index counts from 0 the frames that come out of the decoder.

To take frames with known poses, put the video into a folder of its own with a ``cameras_gt.json``
whose entries have ``"frame": <index>`` (see :func:`tasks.ingest.sidecars.read_cameras`), or a
``transforms.json`` whose ``file_path`` are frame names, and set ``ingest.video.take`` to ``posed``.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image

from tasks.errors import InputError
from tasks.images import fitted_sizes
from tasks.ingest.config import VideoConfig
from tasks.ingest.decode import opened
from tasks.ingest.folder import frame_name
from tasks.ingest.hdr import HLG, PQ, tone_mapped

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""What FFmpeg may take a file for; its playlists would open other files and addresses."""

BORDER_PIXELS = 2**20
"""Decoders add a border of up to a block to frames; FFmpeg counts it, we do not."""

SHARPNESS_EDGE = 480
"""Longest edge at which sharpness is measured, pixels: blur that matters is wider than a pixel
there, and noise and blocks of the coding are not taken for detail."""

COMPLETE_SHARE = 0.98
"""Of the time that a header announces; some writers announce a little more than they write."""

BOUNDARY_SHARE = 1e-6
"""Of an interval: a frame on a boundary belongs to the later one, however the division rounds."""

HD_LINES = 720
"""Height from which colours without a stated matrix are BT.709; below, BT.601."""

UNSPECIFIED = 2
"""Of a colour matrix, in H.273."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A video, with the times and sizes from its packets."""

    path: Path
    start_s: float
    duration_s: float
    pixel_aspect: float
    """Width over height of a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One frame, upright, with square pixels."""

    name: str
    index: int
    time_s: float
    picture: Image.Image
    """RGB, downsampled to the requested longest edge."""
    source_size: tuple[int, int]
    """Width and height it has when shown at its full size, pixels."""
    tone_mapped: bool
    """Whether it is of high dynamic range in the file."""


def read_video(path: Path, max_pixels: int) -> Video:
    """Look at every packet of a video, without decoding it.

    Args:
        max_pixels: of a frame that FFmpeg may decode to find out the format.

    Raises:
        InputError: it is no video, is broken, or ends before it should.
        MachineError: the machine failed to read it.
    """
    with _opened_video(path, max_pixels) as (container, stream):
        spans_s = sorted(
            (float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        )
        announced_s = _announced_s(container, stream)
        pixel_aspect = float(stream.sample_aspect_ratio or 1)
    if not spans_s:
        raise InputError(
            f"the video {path.name} holds no frame with a time, so it cannot be divided into "
            "intervals; convert it"
        )
    gaps_s = [after[0] - before[0] for before, after in pairwise(spans_s)]
    start_s, (last_s, lasts_s) = spans_s[0][0], spans_s[-1]
    frame_s = max(lasts_s, float(np.median(gaps_s)) if gaps_s else 0.0)
    duration_s = last_s + frame_s - start_s
    if duration_s + frame_s < COMPLETE_SHARE * announced_s:
        raise InputError(
            f"the video {path.name} is truncated: its header announces {announced_s:.1f} s and "
            f"{duration_s:.1f} s are there ({len(spans_s)} frames), so an unknown part of the "
            "scene is missing; copy it again"
        )
    return Video(path=path, start_s=start_s, duration_s=duration_s, pixel_aspect=pixel_aspect)


def _announced_s(container: InputContainer, stream: VideoStream) -> float:
    """Duration of the pictures by the header; 0 where it does not give it."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:  # sound may last longer
        return container.duration / av.time_base
    return 0.0


def intervals_s(videos: Sequence[Video], config: VideoConfig) -> list[float]:
    """How long the intervals are that each of a scene's videos is divided into, seconds.

    Videos get their share of the config's ``frames`` by their length, and at least one each.
    """
    if config.every_s is not None:
        return [config.every_s] * len(videos)
    together_s = sum(video.duration_s for video in videos)
    return [
        video.duration_s / max(1, math.floor(config.frames * video.duration_s / together_s))
        if video.duration_s > 0
        else math.inf
        for video in videos
    ]


def sharpest_frames(
    video: Video, interval_s: float, longest_edge: int, max_pixels: int
) -> Iterator[Frame]:
    """The sharpest frame of each interval of time, in order; at most two frames are held.

    Args:
        longest_edge: to which larger frames are reduced.
        max_pixels: width times height above which nothing is decoded.

    Raises:
        InputError: the video cannot be decoded, or is too large.
        MachineError: the machine failed to read it.
    """
    best: tuple[float, int, float, VideoFrame] | None = None
    current = 0
    for index, time_s, frame in _decoded_frames(video.path, max_pixels):
        interval = int((time_s - video.start_s) / interval_s + BOUNDARY_SHARE)
        if best is not None and interval > current:
            yield _finished(video, *best[1:], longest_edge)
            best = None
        current = max(current, interval)
        sharpness = _sharpness(frame)
        if best is None or sharpness > best[0]:
            best = sharpness, index, time_s, frame
    if best is not None:
        yield _finished(video, *best[1:], longest_edge)


def frames_at(
    video: Video, indices: Collection[int], longest_edge: int, max_pixels: int
) -> Iterator[Frame]:
    """The frames with these indices, in order, as far as the video has them.

    Raises:
        InputError: as :func:`sharpest_frames`.
        MachineError: the machine failed to read it.
    """
    last = max(indices, default=-1)
    for index, time_s, frame in _decoded_frames(video.path, max_pixels):
        if index in indices:
            yield _finished(video, index, time_s, frame, longest_edge)
        if index >= last:
            return


@contextmanager
def _opened_video(path: Path, max_pixels: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    with opened(path, f"the video {path.name}") as file:
        try:
            # Frames may be larger than the header says.
            limit = {"max_pixels": str(max_pixels + BORDER_PIXELS)}
            options = {"format_whitelist": CONTAINERS, **limit}
            with av.open(file, mode="r", options=options) as container:
                stream = container.streams.best("video")
                if not isinstance(stream, VideoStream):
                    raise InputError(
                        f"the video {path.name} holds no pictures, only {len(container.streams)} "
                        "other streams; replace or remove it"
                    )
                stream.codec_context.options = limit
                yield container, stream
        except av.FFmpegError as error:
            raise InputError(
                f"the video {path.name} cannot be decoded from its {path.stat().st_size} bytes "
                f"({error.strerror}), so none of it is used; copy or convert it again"
            ) from error


def _decoded_frames(path: Path, max_pixels: int) -> Iterator[tuple[int, float, VideoFrame]]:
    """Index, time in seconds and pixels of every whole frame."""
    with _opened_video(path, max_pixels) as (container, stream):
        _check_size(path, stream.width, stream.height, max_pixels)
        stream.thread_type = "AUTO"
        step_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        time_s = 0.0
        for index, frame in enumerate(container.decode(stream)):
            _check_size(path, frame.width, frame.height, max_pixels)
            time_s = time_s + step_s if frame.time is None else frame.time
            if not frame.is_corrupt:
                yield index, time_s, frame


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f"the video {path.name} is too large: {width}x{height}, and at most "
            f"{max_pixels / 1e6:g} megapixels are decoded; reduce it"
        )


def _sharpness(frame: VideoFrame) -> float:
    """Variance of the Laplacian of the reduced grey frame.

    Source: Pech-Pacheco et al., ICPR 2000, "Diatom autofocusing in brightfield microscopy".
    """
    sizes = np.array([[frame.width, frame.height]])
    width, height = fitted_sizes(sizes, SHARPNESS_EDGE)[0].tolist()
    grey = frame.reformat(width=width, height=height, format="gray8", interpolation="AREA")
    level = grey.to_ndarray().astype(np.float32)
    inner = level[1:-1, 1:-1]
    around = level[:-2, 1:-1] + level[2:, 1:-1] + level[1:-1, :-2] + level[1:-1, 2:]
    return float(np.var(around - 4.0 * inner)) if inner.size else 0.0


def _finished(
    video: Video, index: int, time_s: float, frame: VideoFrame, longest_edge: int
) -> Frame:
    """Rotated by the display matrix, with square pixels, downsampled."""
    shown = (round(frame.width * video.pixel_aspect), frame.height)
    width, height = fitted_sizes(np.array([shown]), longest_edge)[0].tolist()
    picture = Image.fromarray(_rgb(frame)).resize((width, height), Image.Resampling.LANCZOS)
    quarters = round(frame.rotation / 90) % 4
    if quarters:
        picture = Image.fromarray(np.rot90(np.asarray(picture), quarters).copy())
    return Frame(
        name=frame_name(video.path, index),
        index=index,
        time_s=time_s,
        picture=picture,
        source_size=shown[::-1] if quarters % 2 else shown,
        tone_mapped=frame.color_trc in (HLG, PQ),
    )


def _rgb(frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    if frame.color_trc in (HLG, PQ):
        return tone_mapped(frame.reformat(format="rgb48le").to_ndarray(), frame.color_trc)
    matrix = None
    if frame.colorspace == UNSPECIFIED:
        matrix = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
    return frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
