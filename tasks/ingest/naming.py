"""The photos that a COLMAP model or a transforms file names.

Where no photo has exactly that name, one is taken that has it but for its case or its ending, or
whose path ends a path of another computer: always a photo in the scene's folder, and never one that
two cameras would have.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tasks.errors import InputError
from tasks.ingest.folder import (
    HEIF_SUFFIXES,
    LITTER,
    PHOTO_FOLDERS,
    PHOTO_SUFFIXES,
    PhotoFile,
    Rejected,
    below_photo_folder,
    entries_of,
    files_below,
    is_folder,
    is_there,
    photo_name,
)
from tasks.ingest.given import GivenCamera
from tasks.ingest.listing import photo_file
from tasks.ingest.references import ReadReference, ReferenceKind

DRIVE = re.compile(r"^[A-Za-z]:")
"""Of a path on Windows."""

WITHOUT_PHOTOS = frozenset({"masks", "depth", "sparse", "colmap"}) | LITTER


SUFFIXES_TRIED = (".png", *sorted(PHOTO_SUFFIXES - {".png"}))
"""For photos that a transforms file names without their ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The photos that a COLMAP model or a transforms file names."""

    cameras: Mapping[str, tuple[PhotoFile, GivenCamera]] = field(default_factory=dict)
    """By the photo's name, there or not."""
    unusable: tuple[tuple[PhotoFile, Rejected], ...] = ()
    """Those whose camera is none."""
    renamed: tuple[tuple[str, PhotoFile], ...] = ()
    """Photos that the file calls otherwise."""

    @property
    def present(self) -> dict[str, PhotoFile]:
        return {name: file for name, (file, _) in self.cameras.items() if is_there(file.path)}

    @property
    def absent(self) -> list[Rejected]:
        """Named and not there, or without a camera that is one."""
        present = self.present
        missing = [
            Rejected(name=name, reason=_why_missing(file, camera))
            for name, (file, camera) in self.cameras.items()
            if name not in present
        ]
        rejected = [*missing, *(rejected for _, rejected in self.unusable)]
        return sorted(rejected, key=lambda one: one.name)

    def remarks(self, folder: Path) -> list[str]:
        """What was found under another name."""
        if not self.renamed:
            return []
        image, file = self.renamed[0]
        return [
            f"{len(self.renamed)} photos found under another name than their camera gives, such as "
            f"'{image}' as {file.path.relative_to(folder).as_posix()}"
        ]


def find_named(folder: Path, read: ReadReference) -> Named:
    """The photos that a COLMAP model or a transforms file names, there or not."""
    given = read.given
    images = [*(one.image for one in given.cameras), *(one.image for one in given.unusable)]
    exact = [_exact(folder, image, read.reference.kind) for image in images]
    found, renamed = list(exact), []
    if None in exact:
        index = _PhotoIndex(folder)
        loose = [
            None if path else index.find(name) for path, name in zip(exact, images, strict=True)
        ]
        loose = _unclaimed(loose, (path for path in exact if path))
        found = [one or other for one, other in zip(exact, loose, strict=True)]
        renamed = [
            (image, photo_file(folder, path))
            for image, path in zip(images, loose, strict=True)
            if path
        ]
    files = [
        photo_file(folder, path) if path else _file_of_nothing(folder, image)
        for path, image in zip(found, images, strict=True)
    ]
    named: dict[str, tuple[PhotoFile, GivenCamera]] = {}
    for file, camera in zip(files, given.cameras, strict=False):
        if file.name in named:
            raise InputError(
                f"{camera.where} and {named[file.name][1].where} are both of '{file.name}', so one "
                "of them is wrong; remove it"
            )
        named[file.name] = file, camera
    unusable = [
        (file, Rejected(name=file.name, reason=camera.reason))
        for file, camera in zip(files[len(given.cameras) :], given.unusable, strict=True)
    ]
    return Named(cameras=named, unusable=tuple(unusable), renamed=tuple(renamed))


def _exact(folder: Path, image: str, kind: ReferenceKind) -> Path | None:
    """The photo of exactly the name that a camera gives it."""
    if not _is_below(image):
        return None
    relative = PurePosixPath(image)
    places = [relative]
    if kind == "colmap":
        places = [*(PurePosixPath(place) / relative for place in PHOTO_FOLDERS), relative]
    elif relative.suffix.lower() not in PHOTO_SUFFIXES:  # Blender's have no ending
        places += [relative.with_name(relative.name + end) for end in SUFFIXES_TRIED]
    return next((folder / place for place in places if _is_a_file(folder / place)), None)


def _is_a_file(path: Path) -> bool:
    return is_there(path) and not is_folder(path)


def _file_of_nothing(folder: Path, image: str) -> PhotoFile:
    """A photo that is not there, by the name it has in the file."""
    relative = PurePosixPath(*_parts_of(image) or ("unnamed",))
    return PhotoFile(name=photo_name(relative), path=folder / relative)


def mask_of(folder: Path, mask: str, where: str) -> Path:
    """A mask that a frame names: the file, or the one that the end of its path is below the
    scene's folder."""
    if _is_below(mask) and is_there(folder / mask):
        return folder / mask
    parts = _parts_of(mask)
    ends = [folder.joinpath(*parts[start:]) for start in range(len(parts))]
    if found := next((path for path in ends if _is_a_file(path)), None):
        return found
    if not _is_below(mask):
        raise InputError(
            f"{where} in '{folder}' names the mask '{mask}', which is not a path below that "
            "folder, and nothing there is called so; write paths relative to the scene's folder"
        )
    return folder / mask


def _why_missing(file: PhotoFile, camera: GivenCamera) -> str:
    return (
        f"is missing: {camera.where} gives its camera and no photo of the scene is called "
        f"'{camera.image}'; add the photo"
    )


def _parts_of(path: str) -> tuple[str, ...]:
    """The names in a path of any system, without its root and its steps to parents."""
    names = DRIVE.sub("", path).replace("\\", "/").split("/")
    return tuple(name for name in names if name not in ("", ".", ".."))


def _is_below(path: str) -> bool:
    """Whether a path, as it stands, is one below the scene's folder."""
    relative = PurePosixPath(path)
    return bool(relative.parts) and not relative.is_absolute() and ".." not in relative.parts


@dataclass(frozen=True, slots=True)
class _PhotoIndex:
    """The photos of a scene by their paths, whatever their case; never any other file."""

    folder: Path
    _by_path: dict[str, list[Path]] = field(default_factory=dict, init=False)
    """By every end of a photo's path, with and without the ending of its name."""

    def __post_init__(self) -> None:
        known: dict[str, Path] = {}
        for file in _photos_below(self.folder):
            relative = PurePosixPath(file.relative_to(self.folder).as_posix())
            known.setdefault(below_photo_folder(relative).as_posix(), file)
        for path, file in known.items():
            for key in {path.casefold(), _without_ending(path).casefold()}:
                parts = key.split("/")
                for start in range(len(parts)):
                    self._by_path.setdefault("/".join(parts[start:]), []).append(file)

    def find(self, path: str) -> Path | None:
        """The one photo whose path below its folder of photos ends the given path, or which the
        given path ends; by the name without its ending where none has that. None where there is
        none, or more than one."""
        parts = tuple(part.casefold() for part in _parts_of(path))
        for ends in (parts, (*parts[:-1], _without_ending(parts[-1])) if parts else ()):
            for start in range(len(ends)):
                found = self._by_path.get("/".join(ends[start:]), [])
                whole = [
                    file for file in found if start == 0 or self._depth(file) + start == len(ends)
                ]
                if whole:
                    return whole[0] if len(whole) == 1 else None
        return None

    def _depth(self, file: Path) -> int:
        relative = PurePosixPath(file.relative_to(self.folder).as_posix())
        return len(below_photo_folder(relative).parts)


def _unclaimed(found: Sequence[Path | None], claimed: Iterable[Path]) -> list[Path | None]:
    """What was found, without photos that are claimed already or that several would have."""
    taken = set(claimed)
    return [
        None if path is None or path in taken or found.count(path) > 1 else path for path in found
    ]


def _without_ending(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in PHOTO_SUFFIXES | HEIF_SUFFIXES else path


def _photos_below(folder: Path) -> list[Path]:
    """Those in folders of photos first, in their order."""
    entries = entries_of(folder)
    names = [*PHOTO_FOLDERS]
    entries.sort(key=lambda entry: names.index(entry.name) if entry.name in names else len(names))
    found: list[Path] = []
    for entry in entries:
        if not is_folder(entry):
            found.append(entry)
        elif entry.name.lower() not in WITHOUT_PHOTOS and not (
            entry.is_symlink() and entry.name not in names
        ):
            found += files_below(entry)
    return [file for file in found if file.suffix.lower() in PHOTO_SUFFIXES | HEIF_SUFFIXES]
