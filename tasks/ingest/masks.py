"""Masks: which pixels of a photo may be used."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.decode import PhotoError, decoded
from tasks.ingest.folder import MASK_FOLDER, PHOTO_FOLDER, photo_name
from tasks.ingest.given import Size, same_shape

MASK_ENDINGS = ("_mask", "-mask", ".mask")
MASK_BEGINNING = "mask_"
"""What names of masks have beside that of their photo."""

UNUSED_MASK_BEGINNING = "dynamic_mask_"
"""Of masks of instant-ngp, which leave out what is white."""

LOSSY_LEVEL = 127
"""Of 255: a JPEG does not keep zeros, so its middle parts what is used from what is not."""


def masks_by_photo(masks: Mapping[str, Path], photo_names: Sequence[str]) -> dict[str, Path]:
    """The mask of each photo that has one.

    ``masks/a.jpg.png`` (as for COLMAP), ``masks/a.png`` or ``masks/a_mask.png`` belongs to
    ``a.jpg``, and so with any ending of a photo; what stands in a sub-folder of ``images/`` has its
    mask in the same sub-folder of ``masks/``.

    Args:
        masks: by their name, which is made from their path below ``masks/`` as a photo's is.

    Raises:
        InputError: a mask belongs to two photos, a photo has two masks, or there are masks and
            none belongs to any.
    """
    found: dict[str, Path] = {}
    owner: dict[str, str] = {}
    by_stem: dict[str, list[str]] = {}
    for mask in masks:
        for stem in {PurePosixPath(mask).stem, mask_stem(PurePosixPath(mask).stem)}:
            by_stem.setdefault(stem, []).append(mask)
    for name in photo_names:
        fitting = by_stem.get(name) or by_stem.get(PurePosixPath(name).stem)
        if fitting is None:
            continue
        if len(fitting) > 1:
            raise InputError(
                f"{MASK_FOLDER}/{fitting[0]} and {MASK_FOLDER}/{fitting[1]} are both masks of "
                f"'{name}', so it is unknown which counts; remove one"
            )
        mask = fitting[0]
        if mask in owner:
            raise InputError(
                f"{MASK_FOLDER}/{mask} could belong to '{owner[mask]}' and to '{name}'; "
                "call masks '<photo>.png', with the photo's own ending before it"
            )
        owner[mask] = name
        found[name] = masks[mask]
    if masks and not found:
        raise InputError(
            f"none of the {len(masks)} masks in {MASK_FOLDER}/ ('{next(iter(masks))}', ...) is "
            f"named after one of the {len(photo_names)} photos; call them '<photo>.png' or "
            "remove the folder"
        )
    return found


def mask_stem(stem: str) -> str:
    """What a mask belongs to, by its name without its ending; the name itself if it says none."""
    for ending in MASK_ENDINGS:
        if stem.endswith(ending):
            return stem.removesuffix(ending)
    return stem.removeprefix(MASK_BEGINNING)


def mask_name(relative: PurePosixPath) -> str:
    """What a mask is called, by its path below ``masks/``: as the photo below ``images/``."""
    return photo_name(PurePosixPath(PHOTO_FOLDER) / relative)


def read_mask(path: Path, photo: str, photo_size: Size, max_pixels: int) -> Bool[np.ndarray, "h w"]:
    """Read a mask: true, to be used, where a pixel is not black (nor transparent).

    It has its own size, which is of the photo's shape.

    Args:
        photo: the photo's name.
        photo_size: width and height of the photo's pixels as the file holds them; the mask is
            turned upright with them.

    Raises:
        PhotoError: of the photo; the mask cannot be read or has another shape.
        MachineError: the machine failed to read it.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        with decoded(path, name, max_pixels) as image:
            size, used = image.size, _used(image)
    except PhotoError as error:
        raise PhotoError(photo, f"has a bad mask: {name} {error.reason}") from error
    if size != photo_size and not same_shape(size, photo_size):
        raise PhotoError(
            photo,
            f"has a mask of another shape: {name} has {size[0]}x{size[1]} pixels and the file of "
            f"the photo {photo_size[0]}x{photo_size[1]}; make the mask from that file's pixels",
        )
    return used


def _used(image: Image.Image) -> Bool[np.ndarray, "h w"]:
    if image.mode in ("1", "L") or image.mode.startswith("I"):
        level = LOSSY_LEVEL if image.format == "JPEG" else 0
        return np.asarray(image) > level
    colours = np.asarray(image.convert("RGBA"))
    level = LOSSY_LEVEL if image.format == "JPEG" else 0
    return (colours[..., :3] > level).any(axis=2) & (colours[..., 3] > 0)
