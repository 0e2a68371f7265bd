"""Pictures of a run: held-out photos beside what the splats show from there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from storage.arrays import Store
from storage.handles import ArrayHandle
from storage.metrics import read_table
from tasks.errors import InputError

ROW_HEIGHT = 300
LABEL_HEIGHT = 22
GAP = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOutView:
    """A photo that the splat never saw, and the render."""

    name: str
    psnr_db: float
    photo: np.ndarray  # uint8 [h w 3]
    rendered: np.ndarray  # uint8 [h w 3]


def held_out_views(evaluation: ArrayHandle, count: int) -> list[HeldOutView]:
    """``count`` views, or as many as there are, spread evenly over their scores, worst first."""
    attributes = evaluation.attributes
    views = [view for view in attributes["views"] if view["split"] == "held_out"]
    views.sort(key=lambda view: float(view["psnr_db"]))
    if count == 1:
        places = [len(views) // 2] if views else []
    else:
        places = np.linspace(0, len(views) - 1, min(count, len(views))).round().astype(int).tolist()
    chosen = []
    for view in (views[place] for place in places):
        number = attributes["rendered"].index(view["view"])
        chosen.append(
            HeldOutView(
                name=view["view"],
                psnr_db=view["psnr_db"],
                photo=evaluation.array(f"photo_{number:04d}"),
                rendered=evaluation.array(f"render_{number:04d}"),
            )
        )
    return chosen


def contact_sheet(store: Store, run: str) -> Image.Image:
    """One row a completed scene: its held-out photo of median score, left, and the render, right.

    Raises:
        InputError: no scene of the run has a held-out photo.
    """
    rows = [_row(scene, view) for scene, view in _median_views(store, run)]
    if not rows:
        raise InputError(
            f"no scene of {run} has completed with a held-out photo, so there is nothing to show"
        )
    size = (max(row.width for row in rows), sum(row.height for row in rows))
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _median_views(store: Store, run: str) -> Iterator[tuple[str, HeldOutView]]:
    stages = read_table(store, "stages", run=run)
    finished = stages[(stages["stage"] == "evaluate") & stages["digest"].notna()]
    for scene, row in finished.groupby("scene").last().iterrows():
        handle = ArrayHandle(uri=row["uri"], kind="evaluation", digest=row["digest"])
        for view in held_out_views(handle, 1):
            yield str(scene), view


def _row(scene: str, view: HeldOutView) -> Image.Image:
    pictures = [Image.fromarray(pixels) for pixels in (view.photo, view.rendered)]
    width = round(pictures[0].width * ROW_HEIGHT / pictures[0].height)
    row = Image.new("RGB", (2 * width + GAP, ROW_HEIGHT + LABEL_HEIGHT + GAP), "white")
    label = f"{scene} / {view.name}: held-out photo, render ({view.psnr_db:.1f} dB)"
    ImageDraw.Draw(row).text((4, 4), label, "black", ImageFont.load_default(13))
    for index, picture in enumerate(pictures):
        scaled = picture.resize((width, ROW_HEIGHT), Image.Resampling.LANCZOS)
        row.paste(scaled, (index * (width + GAP), LABEL_HEIGHT))
    return row
