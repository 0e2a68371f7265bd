"""How the folder of a scene is laid out: the names that mean something, and what stands there."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks.errors import InputError
from tasks.ingest.decode import raise_if_fault_of_the_machine

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff"})

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".avif"})
"""Read like the others, unless a photo of the same stem stands beside: phones export both."""

UNREAD_SUFFIXES = frozenset(
    {".jxl", ".jp2", ".gif", ".bmp"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw"}
)
"""Photos too, of kinds we do not read: named as refused, where overlooking them would surprise."""

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})

PHOTO_FOLDER = "images"
REDUCED_FOLDERS = tuple(f"{PHOTO_FOLDER}_{factor}" for factor in (2, 4, 8))
PHOTO_FOLDERS = (PHOTO_FOLDER, "input", *REDUCED_FOLDERS)
"""Folders of photos by the conventions of COLMAP, 3D Gaussian splatting and MipNeRF 360."""
DEPTH_FOLDER = "depth"
MASK_FOLDER = "masks"
CAMERAS_NAME = "cameras_gt.json"
MODEL_FOLDERS = ("sparse", "colmap/sparse")
"""Where COLMAP models stand: there, or in numbered folders there."""
TRANSFORMS_NAME = "transforms.json"
BLENDER_NAMES = ("transforms_train.json", "transforms_val.json", "transforms_test.json")
"""Read together, where there is no :data:`TRANSFORMS_NAME`."""

SCENE_FOLDERS = frozenset(
    {*PHOTO_FOLDERS, DEPTH_FOLDER, MASK_FOLDER, "sparse", "colmap", "train", "val", "test"}
)
"""Folders that a scene may consist of; any other folder makes it a dataset."""

LITTER = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)
"""Folders that archives, disks and network drives add by themselves; in lower case."""

CAMERA_FOLDER = re.compile(
    r"(cam|camera|sensor|lens|rig)([ _.-]?[0-9]{1,3}|[ _.-][a-z])|left|right", re.IGNORECASE
)
"""How the folders of a rig's cameras are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFile:
    """A photo to be read, and what it is called from then on."""

    name: str
    """Its path below ``images/`` (or another of :data:`PHOTO_FOLDERS`) or the scene, with ``__``
    for each ``/``."""
    path: Path
    camera: str = ""
    """The folder that it stands in below there: a rig has one for each camera."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A file that could not be used; ``"<name> <reason>"`` reads as a sentence."""

    name: str
    reason: str


def photo_name(relative: PurePosixPath) -> str:
    """What the photo at a path relative to the scene's folder is called."""
    return "__".join(below_photo_folder(relative).parts)


def below_photo_folder(relative: PurePosixPath) -> PurePosixPath:
    """A path relative to the scene's folder, without the folder of photos that it begins with."""
    parts = relative.parts
    return PurePosixPath(*parts[1:]) if len(parts) > 1 and parts[0] in PHOTO_FOLDERS else relative


def frame_name(video: Path, index: int) -> str:
    """What the photo is called that is frame ``index`` (from 0, as decoded) of a video."""
    return f"{video.stem}_{index:06d}.png"


def frame_of(name: str, videos: Sequence[Path]) -> tuple[Path, int] | None:
    """The video and the index that a photo is called after; the inverse of :func:`frame_name`."""
    for video in videos:
        number = Path(name).stem.removeprefix(f"{video.stem}_")
        if number.isdecimal() and name == frame_name(video, int(number)):
            return video, int(number)
    return None


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not is_folder(path)


def is_folder(path: Path) -> bool:
    """False also without permission to read: reading it then raises with the reason."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """True for broken links and without permission: reading then raises with the reason."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def entries_of(folder: Path) -> list[Path]:
    """What stands in a folder, sorted by name, hidden entries left out.

    Raises:
        InputError: the folder is missing, no folder, or may not be listed.
        MachineError: the machine failed to list it.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except FileNotFoundError:
        raise InputError(
            f"'{folder}' does not exist, so there is no photo to read; give the folder of one scene"
        ) from None
    except NotADirectoryError:
        raise InputError(
            f"'{folder}' is a file, and a scene is a folder of photos or a video; give the folder "
            "it stands in"
        ) from None
    except OSError as error:
        raise_if_fault_of_the_machine(error, f"the folder '{folder}'")
        raise InputError(
            f"'{folder}' cannot be listed ({error.strerror}), so its photos are out of reach; "
            "mend its permissions"
        ) from error
    return sorted(entries, key=lambda entry: entry.name)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder and its sub-folders; linked folders and litter are not entered."""
    open_folders = [iter(entries_of(folder))]  # no recursion: folders may be nested a thousandfold
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
        elif not is_folder(entry):
            yield entry
        elif not entry.is_symlink() and entry.name.lower() not in LITTER:  # links go in circles
            open_folders.append(iter(entries_of(entry)))
