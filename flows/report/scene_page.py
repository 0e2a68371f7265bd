"""The page of one scene in Prefect's UI: its figures, and held-out photos beside their pictures."""

import base64
import io
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from PIL import Image

from flows.report.pictures import held_out_views
from storage.handles import ArrayHandle

PICTURES = 3
PICTURE_WIDTH = 360
MAX_PICTURE_BYTES = 30_000
"""Prefect's events refuse large artifacts, so a page stays under a tenth of a megabyte."""


def scene_page(scene: str, row: Mapping[str, Any], artefacts: Mapping[str, ArrayHandle]) -> str:
    """Markdown: the figures of the scene's row, then photo and render of some held-out views."""
    figures = [f"| {name} | {_figure(value)} |" for name, value in row.items() if value is not None]
    lines = [f"# {scene}", "", "| figure | value |", "|---|---|", *figures]
    evaluation = artefacts.get("evaluation")
    for view in held_out_views(evaluation, PICTURES) if evaluation else ():
        strip = np.concatenate([view.photo, *view.pictures], axis=1)
        picture = base64.b64encode(_jpeg(strip, 1 + len(view.pictures))).decode()
        lines += ["", f"{view.name}: photo, {', '.join(view.scores)}", ""]
        lines.append(f"![{view.name}](data:image/jpeg;base64,{picture})")
    return "\n".join(lines) + "\n"


def artifact_key(kind: str, name: str) -> str:
    """The key of a page: Prefect takes lower-case letters, digits and dashes only."""
    readable = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{kind}-{readable[:60]}-{sha256(name.encode()).hexdigest()[:6]}"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _jpeg(pixels: np.ndarray, pictures: int) -> bytes:
    """A small JPEG of at most ``MAX_PICTURE_BYTES``, of so many pictures side by side."""
    picture = Image.fromarray(pixels)
    width = pictures * PICTURE_WIDTH
    height = round(picture.height * width / picture.width)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    for quality in (80, 60, 40, 20, 5):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= MAX_PICTURE_BYTES:
            break
    return buffer.getvalue()
