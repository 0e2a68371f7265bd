"""The page of one scene in Prefect's UI: its figures, and held-out photos beside their renders."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from storage.handles import ArrayHandle

PICTURES = 3
PICTURE_WIDTH = 480
MAX_PICTURE_BYTES = 30_000
"""Prefect's events refuse large artifacts, so a page stays under a tenth of a megabyte."""


def scene_page(scene: str, row: Mapping[str, Any], artefacts: Mapping[str, ArrayHandle]) -> str:
    """Markdown: the figures of the scene's row, then photo and render of some held-out views."""
    figures = [f"| {name} | {_figure(value)} |" for name, value in row.items() if value is not None]
    lines = [f"# {scene}", "", "| figure | value |", "|---|---|", *figures]
    for name, psnr_db, photo, rendered in held_out_pictures(artefacts["evaluation"]):
        pair = np.concatenate([photo, rendered], axis=1)
        picture = base64.b64encode(_jpeg(pair)).decode()
        lines += ["", f"{name}: photo, render ({psnr_db:.2f} dB)", ""]
        lines.append(f"![{name}](data:image/jpeg;base64,{picture})")
    return "\n".join(lines) + "\n"


def held_out_pictures(
    evaluation: ArrayHandle,
) -> list[tuple[str, float, np.ndarray, np.ndarray]]:
    """Name, PSNR, photo and render of views spread over the scores, the worst first."""
    views = [view for view in evaluation.attributes["views"] if view["split"] == "held_out"]
    views.sort(key=lambda view: float(view["psnr_db"]))
    chosen = np.unique(np.linspace(0, len(views) - 1, min(PICTURES, len(views))).round())
    pictures = []
    for index in chosen.astype(int):
        name = views[index]["view"]
        stored = evaluation.attributes["rendered"].index(name)
        photo = evaluation.array(f"photo_{stored:04d}")
        rendered = evaluation.array(f"render_{stored:04d}")
        pictures.append((name, views[index]["psnr_db"], photo, rendered))
    return pictures


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _jpeg(pixels: np.ndarray) -> bytes:
    """A small JPEG of at most ``MAX_PICTURE_BYTES``."""
    picture = Image.fromarray(pixels)
    height = round(picture.height * 2 * PICTURE_WIDTH / picture.width)
    picture = picture.resize((2 * PICTURE_WIDTH, height), Image.Resampling.LANCZOS)
    for quality in (80, 60, 40, 20, 5):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= MAX_PICTURE_BYTES:
            break
    return buffer.getvalue()
