"""What changes how photographs are read."""

from typing import Literal

from pydantic import Field

from tasks.config import Config


class VideoConfig(Config):
    """Which frames of a video become photos."""

    take: Literal["auto", "sharpest", "posed"] = Field(
        default="auto",
        description="'sharpest': the sharpest frame of each interval; 'posed': exactly the frames "
        "that cameras_gt.json or transforms.json gives a camera; 'auto': posed where "
        "transforms.json gives cameras, else sharpest.",
    )
    frames: int = Field(
        default=60,
        ge=2,
        description="Intervals, and so the most photos, that all videos of a scene together are "
        "divided into, by time.",
    )
    every_s: float | None = Field(
        default=None,
        gt=0,
        description="Length of an interval, seconds; replaces 'frames'.",
    )


class IngestConfig(Config):
    """How the photos of a scene are read, and which are refused."""

    max_size: int = Field(
        default=1600,
        ge=64,
        le=16_384,
        description="Longest edge kept, pixels; larger photos are reduced (Lanczos, anti-aliased).",
    )
    min_photos: int = Field(
        default=3,
        ge=2,
        description="Fewest usable photos; a scene with fewer is refused.",
    )
    # Pillow's own limit stands at 178,956,970 pixels and is not ours to lift for the whole process.
    max_pixels: int = Field(
        default=175_000_000,
        ge=4096,
        le=178_000_000,
        description="Pixels of the largest photo that is decoded; larger ones are refused by their "
        "header, so that a small file cannot fill the memory.",
    )
    background: Literal["auto", "black", "white"] = Field(
        default="auto",
        description="What stands behind transparent pixels; 'auto': white for Blender's "
        "transforms files, as in the scenes everyone compares on, else black.",
    )
    alpha_as_mask: bool = Field(
        default=False,
        description="Use only the opaque pixels of photos with transparency, as if masked.",
    )
    video: VideoConfig = VideoConfig()
