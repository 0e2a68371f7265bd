"""Pictures of a run: held-out photos beside each stage's picture of the same pose."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flows.config import STAGES
from flows.runs.record import RunRecord
from flows.runs.results import artefacts_of
from storage.handles import ArrayHandle
from storage.store import Store
from tasks.errors import InputError

ROW_HEIGHT = 300
LABEL_HEIGHT = 22
GAP = 6


PICTURED = {stage.name: stage.artefact for stage in STAGES if stage.pictured}
"""Stages whose pictures are shown, and what they are called."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOutView:
    """A photo that the splat never saw, and what the stages made of its pose."""

    name: str
    photo: np.ndarray  # uint8 [h w 3]
    pictures: tuple[np.ndarray, ...]  # uint8 [h w 3], in the order of PICTURED, as far as they ran
    scores: tuple[str, ...]
    """What each picture is, and its score."""


def held_out_views(evaluation: ArrayHandle, count: int) -> list[HeldOutView]:
    """``count`` views, or as many as there are, spread evenly over their scores, worst first."""
    attributes = evaluation.attributes
    scores = {
        (row["view"], row["stage"]): row["psnr_db"]
        for row in attributes["views"]
        if row["split"] == "held_out"
    }
    names = sorted(attributes["rendered"], key=lambda name: float(scores[name, "splat"]))
    if count == 1:
        places = [len(names) // 2] if names else []
    else:
        places = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int).tolist()
    chosen = []
    for name in (names[place] for place in places):
        number = attributes["rendered"].index(name)
        stages = [stage for stage in PICTURED if (name, stage) in scores]
        chosen.append(
            HeldOutView(
                name=name,
                photo=evaluation.array(f"photo_{number:04d}"),
                pictures=tuple(evaluation.array(f"{stage}_{number:04d}") for stage in stages),
                scores=tuple(
                    f"{PICTURED[stage]} ({scores[name, stage]:.1f} dB)" for stage in stages
                ),
            )
        )
    return chosen


def contact_sheet(store: Store, record: RunRecord) -> Image.Image:
    """One row a completed scene: its held-out photo of median score, and each stage's picture.

    Raises:
        InputError: no scene of the run has a held-out photo.
    """
    rows = [
        _row(scene, view)
        for scene, artefacts in sorted(artefacts_of(store, record).items())
        if artefacts.evaluation
        for view in held_out_views(artefacts.evaluation, 1)
    ]
    if not rows:
        raise InputError(
            f"no scene of {record.run} has completed with a held-out photo, so there is nothing to "
            "show"
        )
    size = (max(row.width for row in rows), sum(row.height for row in rows))
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(scene: str, view: HeldOutView) -> Image.Image:
    pictures = [Image.fromarray(pixels) for pixels in (view.photo, *view.pictures)]
    width = round(pictures[0].width * ROW_HEIGHT / pictures[0].height)
    size = (len(pictures) * (width + GAP) - GAP, ROW_HEIGHT + LABEL_HEIGHT + GAP)
    row = Image.new("RGB", size, "white")
    label = f"{scene} / {view.name}: held-out photo, {', '.join(view.scores)}"
    ImageDraw.Draw(row).text((4, 4), label, "black", ImageFont.load_default(13))
    for index, picture in enumerate(pictures):
        scaled = picture.resize((width, ROW_HEIGHT), Image.Resampling.LANCZOS)
        row.paste(scaled, (index * (width + GAP), LABEL_HEIGHT))
    return row
