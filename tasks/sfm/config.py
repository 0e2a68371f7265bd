"""Options of the sfm stage."""

from typing import Literal

from pydantic import Field

from tasks.config import Config
from tasks.sfm.features.config import Aliked, AutoFeatures, Features, Sift, parts_of
from tasks.sfm.pairs.config import Automatic, PairsConfig

FeatureName = Literal["sift", "aliked", "both"]
MapperName = Literal["incremental", "hierarchical", "global"]


class SfmConfig(Config):
    """Structure from motion; triangulation for given cameras."""

    poses: Literal["auto", "estimate", "given"] = Field(
        default="auto",
        description="Use of cameras that come with the photos. 'given': keep them exactly, "
        "triangulate points, leave out photos without a camera; 'estimate': ignore them; 'auto': "
        "given for a COLMAP model and transforms.json, estimate for cameras_gt.json, which serves "
        "as a reference for evaluation.",
    )
    features: Features = Field(
        default=AutoFeatures(), description="Features that photos are matched by."
    )
    mapper: Literal["auto", "incremental", "hierarchical", "global"] = Field(
        default="auto",
        description="COLMAP's mapper that makes the model; the other one makes a second model to "
        "check it by. 'hierarchical': incremental in clusters of 100 photos, then joined. 'auto': "
        "incremental or global, whichever is sure of more photos.",
    )
    keep_doubtful: bool = Field(
        default=False,
        description="Keep photos whose poses nothing confirms; many of them are wrong.",
    )
    pairs: PairsConfig = Field(
        default=Automatic(), description="Which pairs of photos are matched."
    )
    world: Literal["auto", "model", "reference"] = Field(
        default="auto",
        description="World of estimated poses. 'auto': z up where cameras that were held level or "
        "GPS positions tell, metres where GPS positions do; 'model': as the mapper gives it; "
        "'reference': that of the cameras that came with the photos, which are in metres.",
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
    min_registered_share: float = Field(
        default=0.25,
        ge=0.0,
        le=1.0,
        description="Minimum fraction of photos with a pose; with fewer the scene fails, since the "
        "model is a fragment of it. At least 3 photos must have one in any case, or both of two.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Number of CPU threads; 0 takes those of the stage. Reproducible with 1 only.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of every RANSAC.")

    def attempts(self) -> tuple[FeatureName, ...]:
        """Features of each attempt at a model, in order."""
        kind = self.features.kind
        return ("sift", "both") if kind == "auto" else (kind,)

    def sift(self) -> Sift:
        """Of SIFT features; the default ones where the config has none."""
        return parts_of(self.features)[0] or Sift()

    def aliked(self) -> Aliked | None:
        """Of ALIKED features; None where the config has none."""
        return parts_of(self.features)[1]
