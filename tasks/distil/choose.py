"""Which continuation of a splat is selected: the distilled one, or its control."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.distil.config import MEASURED_PHOTOS
from tasks.gaussians import Gaussians
from tasks.runtime.context import Context
from tasks.splat.fit import psnr_db_on
from tasks.splat.training_photos import SizedPhotos

Selected = Literal["distilled", "control"]

GAIN_SD_DB = 0.6
"""Standard deviation of the gain between the photos of a fit. Of 294 held-out photos 19 % lost
where the mean was +0.48 dB, of 98 10 % where it was +0.81: 0.55 and 0.63 dB if normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A continuation, and the evidence for it."""

    control_psnr_db: tuple[float, ...]
    """PSNR on each validation photo, as is the next."""
    distilled_psnr_db: tuple[float, ...]
    selected: Selected
    reason: str


def choose(
    control: Gaussians,
    distilled: Gaussians,
    validation: SizedPhotos,
    *,
    training_photos: int,
    context: Context = Context(),
) -> Choice:
    """The control, unless there is evidence for the distilled splat.

    Evidence is a mean gain on the validation photos of more than its standard error; or, without
    validation photos, a number of training photos for which gains were measured on other scenes.

    Args:
        validation: photos that neither was fitted to; may be none.
        training_photos: number of photos that both were fitted to.
    """
    control_psnr_db = psnr_db_on(control, validation, context=context)
    distilled_psnr_db = psnr_db_on(distilled, validation, context=context)
    selected, reason = select(
        tuple(np.subtract(distilled_psnr_db, control_psnr_db)), training_photos=training_photos
    )
    return Choice(
        control_psnr_db=control_psnr_db,
        distilled_psnr_db=distilled_psnr_db,
        selected=selected,
        reason=reason,
    )


def select(gains_db: tuple[float, ...], *, training_photos: int) -> tuple[Selected, str]:
    """The continuation for these gains on validation photos, and a sentence that says why."""
    if gains_db:
        gain, noise = float(np.mean(gains_db)), GAIN_SD_DB / np.sqrt(len(gains_db))
        found = f"{gain:+.2f} dB on {len(gains_db)} validation photos"
        if gain > noise:
            return "distilled", f"{found}, more than its noise of {noise:.2f} dB"
        return "control", f"{found}, within its noise of {noise:.2f} dB or worse"
    if training_photos <= MEASURED_PHOTOS:
        return "distilled", (
            f"no validation photo; other scenes of at most {MEASURED_PHOTOS} training photos gained"
        )
    return "control", (
        f"no validation photo, and no gain is known beyond {MEASURED_PHOTOS} training photos"
    )
