"""Sheets of pictures of ``refinement.py``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from PIL import Image, ImageDraw
from refinement_tables import Step, differences

from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store

PICTURE_HEIGHT = 240


class Run(Protocol):
    """As in ``refinement.py``."""

    name: str
    draw: Any
    pictures: Mapping[str, str]


def draw_pictures(store: Store, runs: Sequence[Run], scores: pd.DataFrame, folder: Path) -> None:
    """A sheet for every refiner.

    Of each scene: the views of lowest, median and highest gain by refinement, beside the photo and
    the pictures of the other stages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refined = [run for run in runs if "refine" in run.pictures]
    for title in sorted({run.pictures["refine"] for run in refined}):
        run_of = {run.draw: run for run in refined if run.pictures["refine"] == title}
        step = Step(name="", before="splat", after=title)
        rows = []
        for scene, gains in differences(scores, step, "psnr_db").groupby("scene"):
            ordered = gains.sort_values()
            for place in sorted({0, len(ordered) // 2, len(ordered) - 1}):
                _, photos, which, seed, view = ordered.index[place]
                (run,) = (
                    run
                    for draw, run in run_of.items()
                    if (draw.scene, draw.photos, draw.which, draw.seed)
                    == (scene, photos, which, seed)
                )
                row = _row(store, run, f"{scene} {photos}-{which}", str(view))
                rows.append(row)
        sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
        top = 0
        for picture in rows:
            sheet.paste(picture, (0, top))
            top += picture.height
        sheet.save(folder / f"{title.removesuffix(' refined')}.jpg", quality=85)


def _row(store: Store, run: Run, title: str, view: str) -> Image.Image:
    """The photo, and beside it what each stage shows from there."""
    stages = read_table(store, "stages", run=run.name)
    row = stages[stages["stage"] == "evaluate"].iloc[-1]
    evaluation = ArrayHandle(uri=row["uri"], kind="evaluation", digest=row["digest"])
    attributes = evaluation.attributes
    number = attributes["rendered"].index(view)
    psnr_db = {row["stage"]: row["psnr_db"] for row in attributes["views"] if row["view"] == view}
    pictures = [("photo", f"{title} {view}")]
    pictures += [
        (stage, f"{called} {psnr_db[stage]:.2f} dB")
        for stage, called in run.pictures.items()
        if stage in psnr_db
    ]
    tiles = []
    for stage, label in pictures:
        image = Image.fromarray(evaluation.array(f"{stage}_{number:04d}"))
        width = round(image.width * PICTURE_HEIGHT / image.height)
        tile = Image.new("RGB", (width + 4, PICTURE_HEIGHT + 18), "white")
        tile.paste(image.resize((width, PICTURE_HEIGHT), Image.Resampling.LANCZOS), (0, 16))
        ImageDraw.Draw(tile).text((2, 2), label, "black")
        tiles.append(tile)
    sheet = Image.new("RGB", (sum(tile.width for tile in tiles), tiles[0].height), "white")
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, 0))
        left += tile.width
    return sheet
