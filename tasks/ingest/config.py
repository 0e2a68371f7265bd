"""Options of the ingest stage."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Config, SetBy


class VideoConfig(Config):
    """Selection of a video's frames as photos."""

    take: Literal["auto", "sharpest", "posed"] = Field(
        default="auto",
        description="Frames to take. 'sharpest': the sharpest frame of each interval; 'posed': "
        "the frames that have a camera in cameras_gt.json or transforms.json; 'auto': posed where "
        "transforms.json gives cameras, else sharpest.",
    )
    frames: int = Field(
        default=60,
        ge=2,
        description="Number of intervals of equal duration over all videos of a scene; the most "
        "photos that they give.",
    )
    every_s: float | None = Field(
        default=None,
        gt=0,
        description="Duration of an interval in seconds; replaces 'frames'.",
    )


class IngestConfig(Config):
    """Reading of a scene's photos, and limits beyond which they are rejected."""

    max_size: int = Field(
        default=1600,
        ge=64,
        le=16_384,
        description="Longest edge of a photo, px; larger photos are downsampled (Lanczos, "
        "anti-aliased).",
    )
    min_photos: int = Field(
        default=2,
        ge=2,
        description="Minimum number of usable photos; a scene with fewer fails.",
    )
    # Pillow's own limit stands at 178,956,970 pixels and is not ours to lift for the whole process.
    max_pixels: Annotated[int, SetBy.OWNER] = Field(
        default=175_000_000,
        ge=4096,
        le=178_000_000,
        description="Maximum number of pixels of a photo. Larger ones are rejected by their "
        "header, before decoding: a small file could fill the memory otherwise.",
    )
    background: Literal["auto", "black", "white"] = Field(
        default="auto",
        description="Colour behind transparent pixels. 'auto': white for Blender's transforms "
        "files, as the NeRF synthetic scenes are evaluated, else black.",
    )
    alpha_as_mask: bool | None = Field(
        default=None,
        description="Mask out transparent pixels. Not set: in photos that have both transparent "
        "and opaque pixels, except for Blender's transforms files.",
    )
    video: VideoConfig = VideoConfig()
