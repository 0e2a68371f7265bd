"""Attributes of a distilled splat in the store.

Arrays: those of a splat (see :mod:`tasks.splat.artefact`). The control is such an artefact too.
"""

from collections.abc import Sequence
from typing import Any

from tasks.distil.choose import Choice
from tasks.splat.train.trainer import Fitted


def attributes_of(
    distilled: Fitted, choice: Choice, *, refined_views: int, validation: Sequence[str]
) -> dict[str, Any]:
    """Attributes beside the arrays, JSON-able.

    Args:
        validation: names of the validation photos, in the order of their scores.
    """
    return {
        "selected": choice.selected,
        "selected_because": choice.reason,
        "num_background": distilled.gaussians.num_background,
        "refined_views": refined_views,
        "gaussians": len(distilled.gaussians),
        "validated": bool(validation),
        "validation": [
            {"view": name, "control_psnr_db": control, "distilled_psnr_db": distilled}
            for name, control, distilled in zip(
                validation, choice.control_psnr_db, choice.distilled_psnr_db, strict=True
            )
        ],
    }
