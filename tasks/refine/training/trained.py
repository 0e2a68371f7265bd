"""What every training of a refiner gives, whatever the refiner is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How the training stood."""

    step: int
    """How many were taken."""
    loss: float
    """Mean of the steps since the last point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationScore:
    """What the refiner did to views of scenes that it did not learn from."""

    step: int
    scene: str
    """Empty for all together."""
    views: int
    gain_db: float
    """Mean PSNR over that of the renders; of all together each scene counts alike."""
    share_worse: float
    """Of the views, those whose PSNR fell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedRefiner:
    """A trained refiner."""

    content: bytes
    """Of the file that its weights are in."""
    curve: tuple[CurvePoint, ...]
    scores: tuple[ValidationScore, ...]
    """In the order of the steps."""
