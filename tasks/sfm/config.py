"""Options of the sfm stage."""

from typing import Literal

from pydantic import Field

from tasks.config import Config


class SfmConfig(Config):
    """Incremental structure from motion with SIFT features; triangulation for given cameras."""

    poses: Literal["auto", "estimate", "given"] = Field(
        default="auto",
        description="Use of cameras that come with the photos. 'given': keep them exactly, "
        "triangulate points, leave out photos without a camera; 'estimate': ignore them; 'auto': "
        "given for a COLMAP model and transforms.json, estimate for cameras_gt.json, which serves "
        "as a reference for evaluation.",
    )
    max_features: int = Field(
        default=4096,
        ge=256,
        le=65536,
        description="Maximum number of SIFT features per photo; the strongest are kept.",
    )
    exhaustive_up_to: int = Field(
        default=120,
        ge=0,
        le=2000,
        description="Largest number of photos for which all pairs are matched; above it, "
        "neighbours in the order of names, as in a video or a walk. 0 matches neighbours always.",
    )
    overlap: int = Field(
        default=10,
        ge=1,
        le=200,
        description="Number of following photos that each photo is matched with, where neighbours "
        "are matched; also the number of doublings of the further distances 2, 4, 8, ...",
    )
    camera_model: Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"] = Field(
        default="SIMPLE_RADIAL",
        description="Camera model (COLMAP's names) that is estimated for each camera and used to "
        "undistort its photos.",
    )
    refine_principal_point: bool = Field(
        default=False,
        description="Estimate the principal point; otherwise it is the image centre. Unstable "
        "with few photos.",
    )
    relax_below: float = Field(
        default=0.75,
        ge=0.0,
        le=1.0,
        description="Fraction of registered photos below which mapping is repeated with half the "
        "minimum number of inliers per photo, and the larger model is kept. 0 disables it.",
    )
    min_registered_share: float = Field(
        default=0.25,
        ge=0.0,
        le=1.0,
        description="Minimum fraction of registered photos; with fewer the scene fails, since the "
        "model is a fragment of it. At least 3 photos must be registered in any case.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Number of CPU threads; 0 takes those of the stage. Reproducible with 1 only.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of every RANSAC.")
