"""What changes the result of structure from motion."""

from typing import Literal

from pydantic import Field

from tasks.config import Config


class SfmConfig(Config):
    """Incremental structure from motion with SIFT features, or points alone for given cameras."""

    poses: Literal["auto", "estimate", "given"] = Field(
        default="auto",
        description="Where the photos come with cameras: given = these are kept exactly and only "
        "points are triangulated, photos without one are left out; estimate = they are not used; "
        "auto = given for a COLMAP model and transforms.json, estimate for cameras_gt.json, which "
        "is there to compare with.",
    )
    max_features: int = Field(
        default=4096, ge=256, le=65536, description="SIFT features kept per photo, strongest first."
    )
    exhaustive_up_to: int = Field(
        default=120,
        ge=0,
        le=2000,
        description="Up to this many photos every pair is matched; above it, neighbours in the "
        "order of names, as a video or a walk gives them. 0 = always neighbours.",
    )
    overlap: int = Field(
        default=10,
        ge=1,
        le=200,
        description="Where neighbours are matched: each photo with this many that follow it, and "
        "with those 2, 4, 8, ... places further on as far as overlap doublings reach.",
    )
    camera_model: Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"] = Field(
        default="SIMPLE_RADIAL",
        description="Lens model estimated per camera (COLMAP's names); the photos are undistorted "
        "with it.",
    )
    refine_principal_point: bool = Field(
        default=False,
        description="Estimate the principal point too; without it the image centre is taken. "
        "Unstable with few photos.",
    )
    relax_below: float = Field(
        default=0.75,
        ge=0.0,
        le=1.0,
        description="Where a smaller share of the photos than this is registered, mapping is tried "
        "once more with half as many inliers demanded of a photo, and the larger model is taken. "
        "0 = never.",
    )
    min_registered_share: float = Field(
        default=0.25,
        ge=0.0,
        le=1.0,
        description="With a smaller share of registered photos than this the scene fails, rather "
        "than going on with a fragment. At least 3 photos are always needed.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Threads, 0 = one per core. Only with 1 do two runs give equal bytes.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of every RANSAC.")
