"""What gives the cameras of a scene: which files there are, and which of them counts.

Of several sources the first of these counts, and the artefact names those that were not used:

1. ``cameras_gt.json`` (:mod:`tasks.ingest.sidecars`);
2. the COLMAP model (:mod:`.colmap_model`) with the most images, of those in ``sparse``,
   ``sparse/0``, ``sparse/1``, ... and the same below ``colmap``: before transforms files because
   those beside a model were mostly made from it;
3. ``transforms.json``, or Blender's ``transforms_train.json``, ``_val`` and ``_test``
   (:mod:`.transforms`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.errors import InputError
from tasks.ingest.colmap_model import find_model, read_model
from tasks.ingest.folder import (
    BLENDER_NAMES,
    CAMERAS_NAME,
    MODEL_FOLDERS,
    TRANSFORMS_NAME,
    entries_of,
    is_folder,
    is_there,
)
from tasks.ingest.given import GivenCameras
from tasks.ingest.transforms import read_transforms

ReferenceKind = Literal["cameras_gt", "colmap", "transforms"]

MOST_MODELS = 1000
"""Read in one scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Files that give cameras."""

    kind: ReferenceKind
    files: tuple[Path, ...]
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReference:
    """The source of cameras that counts, read, and those that do not."""

    reference: Reference
    given: GivenCameras
    ignored: tuple[str, ...]
    """What gives cameras too, and is passed over."""


def find_references(folder: Path) -> list[Reference]:
    """What gives cameras, unread: the one that counts first, models of COLMAP one by one."""
    found = []
    if is_there(cameras := folder / CAMERAS_NAME):
        found.append(Reference(kind="cameras_gt", files=(cameras,), title=CAMERAS_NAME))
    found += _models(folder)
    for names in ((TRANSFORMS_NAME,), BLENDER_NAMES):
        files = tuple(folder / name for name in names if is_there(folder / name))
        if files:
            title = ", ".join(path.name for path in files)
            found.append(Reference(kind="transforms", files=files, title=title))
            break
    return found


def read_references(folder: Path, *, models: bool = True) -> ReadReference | None:
    """The source of cameras that counts; of several COLMAP models the one with the most images.

    ``cameras_gt.json`` is left to :func:`tasks.ingest.sidecars.read_cameras`, which needs the names
    of the photos.

    Args:
        models: whether COLMAP models count.

    Returns:
        None where nothing gives cameras.

    Raises:
        InputError: a file is wrong.
        MachineError: the machine failed to read a file.
    """
    references = [one for one in find_references(folder) if models or one.kind != "colmap"]
    if not references:
        return None
    first, others = references[0], tuple(one.title for one in references[1:])
    if first.kind == "cameras_gt":
        return ReadReference(reference=first, given=GivenCameras(), ignored=others)
    if first.kind == "transforms":
        given = read_transforms(first.files)
        return ReadReference(reference=first, given=given, ignored=others)
    found = [one for one in references if one.kind == "colmap"]
    read = [read_model(*model.files) for model in found]
    sizes = [len(given.cameras) for given in read]
    best = sizes.index(max(sizes))
    ignored = [
        f"{model.title} ({size} images)"
        for index, (model, size) in enumerate(zip(found, sizes, strict=True))
        if index != best
    ]
    ignored += [one.title for one in references if one.kind == "transforms"]
    return ReadReference(reference=found[best], given=read[best], ignored=tuple(ignored))


def _models(folder: Path) -> list[Reference]:
    found = []
    for name in MODEL_FOLDERS:
        place = folder / name
        if not is_folder(place):
            continue
        numbered = [
            entry for entry in entries_of(place) if entry.name.isdecimal() and is_folder(entry)
        ]
        for model in [*sorted(numbered, key=lambda one: (len(one.name), one.name)), place]:
            if files := find_model(model):
                title = model.relative_to(folder).as_posix()
                found.append(Reference(kind="colmap", files=files, title=title))
    if len(found) > MOST_MODELS:
        raise InputError(
            f"'{folder}' holds {len(found)} COLMAP models, and at most {MOST_MODELS} are compared; "
            "keep the one that counts"
        )
    return found
