"""What changes how photographs are read."""

from pydantic import Field

from tasks.config import Config


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
