"""Options of features and their matches."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Alternative, SetBy

Precision = Literal["auto", "bfloat16", "float32"]

LEAST_SCORE = 0.05
"""Matches below are not kept, so no ``min_score`` is below it."""

MatcherWeights = Annotated[str | None, SetBy.OWNER]


class Sift(Alternative):
    """SIFT (Lowe 2004), matched by nearest neighbours, or by LightGlue with weights of your own."""

    kind: Literal["sift"] = "sift"
    max_features: int = Field(
        default=4096,
        ge=256,
        le=65536,
        description="Maximum number of SIFT features per photo; the strongest are kept.",
    )
    matcher_weights: MatcherWeights = Field(
        default=None,
        description="File with weights of LightGlue for SIFT, in the scene's folder or "
        "UNSEEN_PHOTO_ROOTS; default: nearest neighbours. None are installed.",
    )
    min_score: float = Field(
        default=0.3,
        ge=LEAST_SCORE,
        le=1.0,
        description="Minimum score of a match by LightGlue.",
    )
    precision: Precision = Field(
        default="auto", description="Numbers of LightGlue's layers, as of ALIKED."
    )


class Aliked(Alternative):
    """ALIKED (Zhao et al. 2023), matched by LightGlue (Lindenberger et al. 2023)."""

    kind: Literal["aliked"] = "aliked"
    max_keypoints: int = Field(
        default=1024,
        ge=64,
        le=8192,
        description="Maximum number of keypoints per photo; the strongest are kept. Time per pair "
        "grows with its square.",
    )
    detection_threshold: float = Field(
        default=0.05, gt=0.0, lt=1.0, description="Minimum score of a keypoint."
    )
    long_side: int = Field(
        default=1000,
        ge=128,
        le=4096,
        description="Longer side that photos are scaled to for the network, up or down, px.",
    )
    min_score: float = Field(
        default=0.3, ge=LEAST_SCORE, le=1.0, description="Minimum score of a match."
    )
    weights: Annotated[str | None, SetBy.OWNER] = Field(
        default=None,
        description="File with weights of ALIKED, in the scene's folder or UNSEEN_PHOTO_ROOTS; "
        "default: n16rot, as installed.",
    )
    matcher_weights: MatcherWeights = Field(
        default=None,
        description="File with weights of LightGlue for ALIKED, as above; default: as installed.",
    )
    precision: Precision = Field(
        default="auto",
        description="Numbers of LightGlue's layers; auto = bfloat16 where the processor computes "
        "with it (AVX-512 BF16, AMX, CUDA), else float32.",
    )


class _SiftAndAliked(Alternative):
    sift: Sift = Sift()
    aliked: Aliked = Aliked()


class AutoFeatures(_SiftAndAliked):
    """SIFT; and where it does not confirm every photo, SIFT and ALIKED together."""

    kind: Literal["auto"] = "auto"


class Both(_SiftAndAliked):
    """SIFT and ALIKED, the matches of both together."""

    kind: Literal["both"] = "both"


Features = Annotated[AutoFeatures | Sift | Aliked | Both, Field(discriminator="kind")]


def parts_of(config: Features) -> tuple[Sift | None, Aliked | None]:
    """What a config has of SIFT and of ALIKED."""
    if isinstance(config, _SiftAndAliked):
        return config.sift, config.aliked
    return (config, None) if isinstance(config, Sift) else (None, config)
