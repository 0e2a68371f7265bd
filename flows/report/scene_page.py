"""The page of one scene in Prefect's UI: its figures, and held-out photos beside their pictures."""

import base64
import io
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, TypedDict

from PIL import Image, ImageDraw, ImageFont

from flows.report.pictures import HeldOutView, held_out_views
from flows.report.table import COMPLETED, EXPLANATION, escaped, figures_of
from flows.stages.pipeline import SceneArtefacts

PICTURES = 3
WIDTHS = (360, 240, 160, 80)
"""Of a picture on the page, pixels: the first at which all have room."""
IN_A_ROW = 2
LABEL_HEIGHT = 20
GAP = 6
FONT = ImageFont.load_default(14)
QUALITIES = (80, 60, 40)
MAX_PAGE_BYTES = 100_000
"""Prefect's events refuse large artifacts."""
MAX_TEXT_BYTES = 20_000


class Page(TypedDict):
    """A markdown artifact, whose history has the earlier ones of its key."""

    key: str
    markdown: str
    description: str


def scene_page(scene: str, run: str, row: Mapping[str, Any], artefacts: SceneArtefacts) -> Page:
    """How the scene ended, and its figures; then, of some held-out views, the photo beside what
    each stage shows from there: at most ``MAX_PAGE_BYTES`` of markdown."""
    lines = [f"# {escaped(scene)}", "", f"**{row['state']}** in the run {escaped(run)}"]
    if message := row.get("error_message"):
        lines[-1] += f": {_shortened(message)}"
    if figures := figures_of(row):
        lines += ["", "| figure | value |", "|---|---:|"]
        lines += [f"| {title} | {escaped(value)} |" for title, value in figures]
    if inputs := row.get("inputs"):
        lines += ["", f"What was used: {_shortened(inputs)}."]
    if rejected := row.get("rejected"):
        lines += ["", f"It went on without {_shortened(rejected)}."]
    if remark := row.get("poses_remark"):
        lines += ["", f"Against the reference cameras: {_shortened(remark)}."]
    evaluation = artefacts.evaluation
    views = held_out_views(evaluation, PICTURES) if evaluation else []
    if views:
        lines += ["", "## Held-out photos, and what each stage shows from there"]
    for view in views:
        name, room = escaped(view.name), (MAX_PAGE_BYTES - MAX_TEXT_BYTES) // len(views)
        lines += ["", f"**{name}**", "", f"![](data:image/jpeg;base64,{_grid(view, room)})"]
    if row["state"] == COMPLETED:
        lines += ["", EXPLANATION]
    return Page(
        key=artifact_key("scene", scene),
        markdown="\n".join(lines) + "\n",
        description=f"{row['state']} in {run}",
    )


def artifact_key(kind: str, name: str) -> str:
    """The key of a page: Prefect takes lower-case letters, digits and dashes only."""
    readable = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{kind}-{readable[:60]}-{sha256(name.encode()).hexdigest()[:6]}"


def _shortened(text: str) -> str:
    return escaped(text if len(text) <= 2000 else f"{text[:2000]} ...")


def _grid(view: HeldOutView, room: int) -> str:
    """Photo and pictures, each with what it is above it, two in a row: a JPEG as base64 text of at
    most so many bytes."""
    labels = ("photo", *view.scores)
    pictures = [Image.fromarray(pixels) for pixels in (view.photo, *view.pictures)]
    text = ""
    for width in WIDTHS:
        height = max(1, round(pictures[0].height * width / pictures[0].width))
        across, down = width + GAP, height + LABEL_HEIGHT + GAP
        rows = -(-len(pictures) // IN_A_ROW)
        grid = Image.new("RGB", (IN_A_ROW * across - GAP, rows * down - GAP), "white")
        for place, (label, picture) in enumerate(zip(labels, pictures, strict=True)):
            left, top = place % IN_A_ROW * across, place // IN_A_ROW * down
            ImageDraw.Draw(grid).text((left + 4, top + 3), label, "black", FONT)
            scaled = picture.resize((width, height), Image.Resampling.LANCZOS)
            grid.paste(scaled, (left, top + LABEL_HEIGHT))
        for quality in QUALITIES:
            buffer = io.BytesIO()
            grid.save(buffer, "JPEG", quality=quality)
            text = base64.b64encode(buffer.getvalue()).decode()
            if len(text) <= room:
                return text
    return text
