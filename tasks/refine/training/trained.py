"""Result of a refiner's training, common to all refiners."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A point of the training curve."""

    step: int
    """Number of steps taken."""
    loss: float
    """Mean loss of the steps since the last point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationScore:
    """Gain of the refiner on views of scenes that it was not trained on."""

    step: int
    scene: str
    """Name of the scene; empty for the mean of all."""
    views: int
    gain_db: float
    """Mean gain in PSNR over the renders, dB; in the mean of all, scenes count alike."""
    share_worse: float
    """Share of the views whose PSNR fell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedRefiner:
    """A trained refiner."""

    content: bytes
    """Content of the file with its weights."""
    curve: tuple[CurvePoint, ...]
    scores: tuple[ValidationScore, ...]
    """In the order of the steps."""
