"""The photos of a scene's folder, and the masks that stand among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath

from tasks.ingest.folder import (
    CAMERA_FOLDER,
    HEIF_SUFFIXES,
    LITTER,
    PHOTO_FOLDERS,
    PHOTO_SUFFIXES,
    UNREAD_SUFFIXES,
    PhotoFile,
    below_photo_folder,
    entries_of,
    files_below,
    is_folder,
    photo_name,
)
from tasks.ingest.masks import UNUSED_MASK_BEGINNING, mask_stem

PLACES = (*PHOTO_FOLDERS[:2], "", *PHOTO_FOLDERS[2:])
"""Where photos stand, in the order in which places are tried; "" is the scene's folder itself."""

OF_ONE_CAMERA = frozenset({".", "train", "val", "test"})
"""Folders that say nothing about the camera."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The photos of a scene, and what stands among them."""

    place: str = ""
    """Of the photos, relative to the scene's folder."""
    photos: tuple[Path, ...] = ()
    """Sorted by their path below ``place``."""
    masks: dict[str, Path] = field(default_factory=dict)
    """Masks beside photos, by the name that they would have in ``masks/``."""
    remarks: tuple[str, ...] = ()
    """What was passed over."""


def find_photos(folder: Path) -> tuple[Path, ...]:
    """The photos of a scene; see :func:`list_photos`."""
    return list_photos(folder).photos


def list_photos(folder: Path) -> Listing:
    """The photos of a scene, from the first of :data:`PLACES` that holds any.

    Sorted by name, character by character: ``img10`` stands before ``img2``, as in the other
    loaders whose hold-out sets take every k-th photo. Hidden files, sidecars, videos and litter of
    other systems are left out. Photos of formats we do not read are in, and refused when read,
    unless a photo of the same stem stands beside them (a raw file next to its JPEG).

    A place without photos of its own gives those of its sub-folders, one for each camera of a rig;
    the scene's own folder only those that are called as cameras are.

    Returns:
        Nothing where there is no photo.

    Raises:
        InputError: the folder is missing, no folder, or cannot be listed.
        MachineError: the machine failed to list it.
    """
    for place in PLACES:
        if not place or is_folder(folder / place):
            if found := _listed(folder, place, entries_of(folder / place)):
                return found
            if found := _listed(folder, place, _in_cameras(folder / place)):
                return found
    return Listing()


def photo_file(folder: Path, path: Path) -> PhotoFile:
    """A photo of the scene in ``folder``."""
    relative = PurePosixPath(path.relative_to(folder).as_posix())
    below = below_photo_folder(relative).parent.as_posix()
    return PhotoFile(
        name=photo_name(relative), path=path, camera="" if below in OF_ONE_CAMERA else below
    )


def camera_folders(folder: Path) -> list[Path]:
    """Sub-folders of a folder that are called as the cameras of a rig are, and hold photos."""
    return [
        entry
        for entry in entries_of(folder)
        if CAMERA_FOLDER.fullmatch(entry.name) and is_folder(entry) and find_photos(entry)
    ]


def _in_cameras(place: Path) -> list[Path]:
    if place.name in PHOTO_FOLDERS:
        return list(files_below(place))
    return [
        file
        for entry in entries_of(place)
        if CAMERA_FOLDER.fullmatch(entry.name) and is_folder(entry) and not entry.is_symlink()
        for file in files_below(entry)
    ]


def _listed(folder: Path, place: str, entries: Sequence[Path]) -> Listing | None:
    files = [entry for entry in entries if not is_folder(entry)]
    photos: list[Path] = []
    masks: dict[str, Path] = {}
    unused: list[str] = []
    for parent, group in groupby(files, key=lambda file: file.parent):
        of_folder = _photos_of_folder(list(group))
        stems = {name for photo in of_folder for name in (photo.stem, photo.name)}
        for photo in of_folder:
            base = mask_stem(photo.stem)
            if photo.stem.startswith(UNUSED_MASK_BEGINNING):
                unused.append(photo.name)
            elif base != photo.stem and base in stems:
                relative = PurePosixPath(parent.relative_to(folder).as_posix(), base + photo.suffix)
                masks[photo_name(relative)] = photo
            else:
                photos.append(photo)
    if not photos:
        return None
    return Listing(
        place=place,
        photos=tuple(sorted(photos, key=lambda photo: photo.relative_to(folder).as_posix())),
        masks=masks,
        remarks=tuple(_remarks(folder, place, files, unused)),
    )


def _photos_of_folder(files: Sequence[Path]) -> list[Path]:
    read = [file for file in files if file.suffix.lower() in PHOTO_SUFFIXES]
    stems = {file.stem for file in read}
    second = UNREAD_SUFFIXES | HEIF_SUFFIXES
    return read + [
        file for file in files if file.suffix.lower() in second and file.stem not in stems
    ]


def _remarks(folder: Path, place: str, files: Sequence[Path], unused: Sequence[str]) -> list[str]:
    remarks = []
    if unused:
        remarks.append(
            f"{len(unused)} masks called '{UNUSED_MASK_BEGINNING}...' are not used: white marks in "
            "them what to leave out, and in ours what to use; invert them, as masks/<photo>.png"
        )
    litter = [entry.name for entry in entries_of(folder) if entry.name.lower() in LITTER]
    if litter:
        remarks.append(f"left by other systems and passed over: {', '.join(litter)}")
    others = _other_places(folder, place, {file.parent for file in files})
    if others:
        remarks.append(f"photos elsewhere, passed over: {', '.join(others)}")
    return remarks


def _other_places(folder: Path, place: str, used: set[Path]) -> list[str]:
    """Folders of photos that are not read, with their number; reduced copies are no news."""
    here = folder / place
    candidates = [folder / one for one in PLACES[:3]]
    candidates += [entry for entry in entries_of(here) if place in PHOTO_FOLDERS]
    found = []
    for candidate in candidates:
        if candidate not in used and candidate != here and is_folder(candidate):
            photos = _photos_of_folder([one for one in entries_of(candidate) if not is_folder(one)])
            if photos:
                name = candidate.relative_to(folder).as_posix()
                found.append(f"{len(photos)} in '{name if name != '.' else folder.name}'")
    return found
