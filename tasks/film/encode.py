"""Pictures in their order as a video file."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from tasks.errors import InputError
from tasks.runtime.atomic_file import atomic_file

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""FFmpeg's names of them."""
QUALITY = "18"
"""x264's constant rate factor: visually lossless."""


def write_film(
    file: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], *, frames_per_second: int = 30
) -> None:
    """Encode as H.264, 4:2:0, as every player shows it; an odd last row or column is cut off.

    The file appears when it is whole.

    Args:
        frames: RGB, all of one size.

    Raises:
        InputError: the file's suffix names no container that we write.
        MachineError: it cannot be written.
    """
    container_format = FORMATS.get(file.suffix.lower())
    if container_format is None:
        raise InputError(
            f"'{file.name}' does not end in one of {', '.join(FORMATS)}, so it is unclear what "
            "kind of video to write; name it so"
        )
    with atomic_file(file) as writing, av.open(writing, "w", format=container_format) as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": QUALITY}
        for index, pixels in enumerate(frames):
            height, width = (extent - extent % 2 for extent in pixels.shape[:2])
            if index == 0:
                stream.width, stream.height = width, height
            picture = np.ascontiguousarray(pixels[:height, :width])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
