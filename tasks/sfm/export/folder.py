"""What every export has in common: a folder that is whole or not there, and the photos in it."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from tasks.cameras import Cameras
from tasks.errors import InputError, MachineError

PHOTO_FOLDER = "images"
MASK_FOLDER = "masks"
WORLD_FILE = "world.json"

Masks = Sequence[Bool[np.ndarray, "_ _"] | None]
"""Of each photo: true where it may be used; None = everywhere."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` to write into, which takes its place when all is written.

    What is killed meanwhile leaves ``.<name>.<number>.partial``, which nobody takes for an export.

    Raises:
        InputError: ``folder`` is a file or holds something already.
        MachineError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"'{folder}' is not an empty folder, and an export would mix with what is there; "
            "remove it or give another folder"
        )
    partial = folder.parent / f".{folder.name}.{uuid4().hex[:12]}.partial"
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()  # fails where somebody has put something into it meanwhile
        partial.rename(folder)
    except OSError as error:
        raise MachineError(
            f"the export to '{folder}' could not be written ({error.strerror or error}); free "
            "space or give another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def photo_files(names: Sequence[str]) -> tuple[str, ...]:
    """File names for the photos: ``a.jpg`` is ``a.png``, or ``a.jpg.png`` if there are two such."""
    stems = [Path(name).stem for name in names]
    uses = Counter(stem.casefold() for stem in stems)
    return tuple(
        f"{stem if uses[stem.casefold()] == 1 else name}.png"
        for name, stem in zip(names, stems, strict=True)
    )


def write_photos(
    folder: Path, cameras: Cameras, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> None:
    """Lossless (PNG), so that what reads them back computes with the same pixels."""
    (folder / PHOTO_FOLDER).mkdir()
    for index, file in enumerate(photo_files(cameras.names)):
        pixels = photos[index]
        assert (pixels.shape[1], pixels.shape[0]) == cameras.size(index)
        Image.fromarray(pixels).save(folder / PHOTO_FOLDER / file, compress_level=4)


def write_masks(folder: Path, cameras: Cameras, masks: Masks | None) -> dict[int, str]:
    """``masks/<photo's file>.png`` (COLMAP's name), 255 = use; the files by the photo's index."""
    written: dict[int, str] = {}
    for index, file in enumerate(photo_files(cameras.names)):
        mask = None if masks is None else masks[index]
        if mask is not None:
            (folder / MASK_FOLDER).mkdir(exist_ok=True)
            written[index] = f"{MASK_FOLDER}/{file}.png"
            Image.fromarray(255 * mask.astype(np.uint8)).save(folder / written[index])
    return written


def write_world(folder: Path, world: Mapping[str, Any] | None) -> None:
    """``world.json``: what is known of the world that cameras and points are in, such as whether
    z is up and a unit is a metre."""
    if world is not None:
        (folder / WORLD_FILE).write_text(json.dumps(world, indent=2), encoding="utf-8")
