"""Layout of an evaluation in the store.

Arrays, for each held-out photo in the order of the attribute ``rendered``: ``photo_0000``, and the
pictures of its pose by stage: ``splat_0000``, and where those stages ran ``ensemble_0000`` (the
mean render of the splat and its ensemble), ``control_0000``, ``refine_0000`` and ``distil_0000``
(uint8, [h w 3]) and ``confidence_0000`` (uint8, [h w], 255 for 1). The other attributes are rows of
the tables of their names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from storage.store import Writer
from tasks.distil.task import CONTROL, DISTIL
from tasks.evaluate.score import ScoredView
from tasks.images import to_uint8
from tasks.metrics.gains import paired_gains
from tasks.refine.task import REFINE
from tasks.splat.task import ENSEMBLE

COMPARED = tuple(
    (stage.compared_with, stage.name)
    for stage in (ENSEMBLE, REFINE, CONTROL, DISTIL)
    if stage.compared_with
)
"""Stages whose pictures are compared view by view: before, and after."""


def write_evaluation(
    out: Writer, scored: Iterable[ScoredView], *, compared: Sequence[tuple[str, str]] = COMPARED
) -> dict[str, Any]:
    """Add the pictures of held-out photos to ``out``.

    Args:
        compared: pairs of stages whose scores are compared view by view.

    Returns:
        Attributes: ``rendered``, and rows of the tables ``views``, ``gains`` and ``confidence``.
    """
    rendered: list[str] = []
    views: list[dict[str, Any]] = []
    confidence: list[dict[str, Any]] = []
    for view in scored:
        for stage, scores in view.scores.items():
            row = {"stage": stage, "view": view.name, "split": view.split, **asdict(scores)}
            views.append(row)
        if view.calibration is not None:
            confidence.append({"view": view.name, **asdict(view.calibration)})
        if view.split == "held_out":
            _write_pictures(out, view, len(rendered))
            rendered.append(view.name)
    gains = [
        {"before": before, "after": after, **asdict(gain)}
        for before, after in compared
        for gain in paired_gains(views, before=before, after=after)
    ]
    return {"rendered": rendered, "views": views, "gains": gains, "confidence": confidence}


def _write_pictures(out: Writer, view: ScoredView, number: int) -> None:
    if view.confidence is not None:
        out.add(f"confidence_{number:04d}", to_uint8(view.confidence), ("y", "x"))
    for stage, picture in view.pictures.items():
        out.add(f"{stage}_{number:04d}", to_uint8(picture), ("y", "x", "channel"))
    out.add(f"photo_{number:04d}", view.photo, ("y", "x", "channel"))
