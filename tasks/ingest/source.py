"""The files that make a scene, and one digest of all that is read from them.

A scene is a folder of photos, a folder with a video or several and no photos, or a video file
(which is then read alone, whatever stands beside it).

Cameras may come with the photos. Of several files that give them the first of these counts, and
the artefact names those that were not used:

1. ``cameras_gt.json`` (:mod:`tasks.ingest.sidecars`);
2. a COLMAP model in ``sparse/0``, ``sparse`` or ``colmap/sparse/0`` (:mod:`.colmap_model`): first
   because the transforms files beside one were mostly made from it;
3. ``transforms.json``, or Blender's ``transforms_train.json``, ``_val`` and ``_test``
   (:mod:`.transforms`).

Where the second or third names photos, those are taken wherever they stand below the folder, and
with them the unnamed ones that stand in the same folder as a named one.
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from tasks.errors import InputError
from tasks.ingest.colmap_model import find_model, read_model
from tasks.ingest.decode import PhotoError, opened
from tasks.ingest.folder import (
    BLENDER_NAMES,
    CAMERAS_NAME,
    DEPTH_FOLDER,
    MASK_FOLDER,
    MODEL_FOLDERS,
    PHOTO_FOLDER,
    PHOTO_SUFFIXES,
    TRANSFORMS_NAME,
    PhotoFile,
    Rejected,
    entries_of,
    files_below,
    find_photos,
    frame_name,
    frame_of,
    is_folder,
    is_there,
    is_video,
    photo_name,
)
from tasks.ingest.given import GivenCamera
from tasks.ingest.masks import mask_name, masks_by_photo
from tasks.ingest.sidecars import depth_by_photo, read_cameras
from tasks.ingest.transforms import read_transforms
from tasks.source import Source

ReferenceKind = Literal["cameras_gt", "colmap", "transforms"]

SUFFIXES_TRIED = (".png", *sorted(PHOTO_SUFFIXES - {".png"}))
"""For photos that a transforms file names without their ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFiles:
    """Everything of a scene that ingest reads; mappings are by the name of a photo."""

    folder: Path
    kind: Literal["photos", "video"]
    photos: tuple[PhotoFile, ...] = ()
    """Sorted by name; names are unique."""
    missing: tuple[Rejected, ...] = ()
    """Photos that have a camera and are not there."""
    videos: tuple[Path, ...] = ()
    """Where the scene has no photos; sorted as their frames' names are, stems are unique."""
    reference_kind: ReferenceKind | None = None
    reference_files: tuple[Path, ...] = ()
    reference_ignored: tuple[str, ...] = ()
    """What would give cameras too, and is passed over."""
    given: Mapping[str, GivenCamera] = field(default_factory=dict)
    depth: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)

    @property
    def upright(self) -> bool:
        """Whether EXIF orientation is applied. COLMAP and the tools that write transforms files
        ignore it, so their cameras are for the pixels as stored."""
        return self.reference_kind not in ("colmap", "transforms")

    @property
    def blender(self) -> bool:
        return any(path.name in BLENDER_NAMES for path in self.reference_files)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """Files that give cameras."""

    kind: ReferenceKind
    files: tuple[Path, ...]
    title: str


def find_files(folder: Path) -> SceneFiles:
    """The photos or videos of a scene and their sidecars.

    Args:
        folder: or a video file.

    Raises:
        InputError: the folder is missing, no folder, cannot be listed or holds neither photo nor
            video, or a sidecar is wrong.
        MachineError: the machine failed to read a sidecar.
    """
    if is_video(folder):
        return SceneFiles(folder=folder, kind="video", videos=(folder,))
    listed = find_photos(folder)
    videos = tuple(
        sorted(
            (entry for entry in entries_of(folder) if is_video(entry)),
            key=lambda video: frame_name(video, 0),
        )
    )
    references = _references(folder)
    first = references[0] if references else None
    named = {} if first is None or first.kind == "cameras_gt" else _named(folder, first)
    if listed or any(is_there(file.path) for file, _ in named.values()) or (named and not videos):
        return _photo_files(folder, listed, references, named)
    if videos:
        return _video_files(folder, videos, references)
    raise InputError(
        f"'{folder}' holds no photo (JPEG, PNG, WebP or TIFF), neither itself nor in its folder "
        f"'{PHOTO_FOLDER}', and no video, so there is nothing to reconstruct; put the photos of "
        "one scene there"
    )


def reference_files(folder: Path) -> tuple[Path, ...]:
    """The files of a scene that would give cameras, unread; none beside a video file."""
    if is_video(folder):
        return ()
    return tuple(file for reference in _references(folder) for file in reference.files)


def digest_source(folder: Path) -> Source:
    """Digest a scene; see :func:`find_files` and :func:`digest_files`."""
    return digest_files(find_files(folder))


def digest_files(files: SceneFiles) -> Source:
    """Digest the names and bytes of everything that ingest would read.

    Where the folder lies, and whether its photos stand in ``images/``, does not count. A file that
    cannot be read counts by the reason why.

    Raises:
        MachineError: the machine failed to read a file.
    """
    labelled = [
        *(("photo", photo.name, photo.path) for photo in files.photos),
        *(("video", path.name, path) for path in files.videos),
        *((files.reference_kind or "", path.name, path) for path in files.reference_files),
        *(("depth", name, path) for name, path in sorted(files.depth.items())),
        *(("mask", name, path) for name, path in sorted(files.masks.items())),
    ]
    # Threads, because hashing and reading both let the others run.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        digests = pool.map(_content, (path for _, _, path in labelled))
        lines = [
            [role, name, content]
            for (role, name, _), content in zip(labelled, digests, strict=True)
        ]
    lines += [["ignored", title, ""] for title in files.reference_ignored]
    # JSON keeps the fields apart, and writes names that are not valid unicode too.
    return Source(folder=str(files.folder), digest=sha256(json.dumps(lines).encode()).hexdigest())


def check_unchanged(source: Source) -> None:
    """Refuse what was read from files that others wrote meanwhile: it has no digest to go under.

    Raises:
        InputError: the files are no more what they were when they were digested.
        MachineError: the machine failed to read a file.
    """
    try:
        unchanged = digest_source(Path(source.folder)).digest == source.digest
    except InputError:  # such as for a sidecar that names a photo that has gone
        unchanged = False
    if not unchanged:
        raise InputError(
            f"the files in '{source.folder}' changed while they were read, so what was read is "
            "neither the old scene nor the new one; run 'unseen resume' when nobody writes there"
        )


def _references(folder: Path) -> list[_Reference]:
    """What gives cameras, the one that counts first."""
    found = []
    if is_there(cameras := folder / CAMERAS_NAME):
        found.append(_Reference(kind="cameras_gt", files=(cameras,), title=CAMERAS_NAME))
    for place in MODEL_FOLDERS:
        if model := find_model(folder / place):
            found.append(_Reference(kind="colmap", files=model, title=place))
            break
    for names in ((TRANSFORMS_NAME,), BLENDER_NAMES):
        files = tuple(folder / name for name in names if is_there(folder / name))
        if files:
            title = ", ".join(path.name for path in files)
            found.append(_Reference(kind="transforms", files=files, title=title))
            break
    return found


def _cameras(reference: _Reference) -> list[GivenCamera]:
    if reference.kind == "colmap":
        return read_model(*reference.files)
    return read_transforms(reference.files)


def _named(folder: Path, reference: _Reference) -> dict[str, tuple[PhotoFile, GivenCamera]]:
    """The photos that a COLMAP model or a transforms file names, there or not."""
    named: dict[str, tuple[PhotoFile, GivenCamera]] = {}
    for camera in _cameras(reference):
        relative = _below(folder, camera.image, camera.where)
        if camera.mask is not None:
            _below(folder, camera.mask.as_posix(), camera.where)
        places = [relative]
        if reference.kind == "colmap":
            places = [PurePosixPath(PHOTO_FOLDER) / relative, relative]
        elif relative.suffix.lower() not in PHOTO_SUFFIXES:  # Blender's have no ending
            places = [relative.with_name(relative.name + end) for end in SUFFIXES_TRIED]
        place = next((place for place in places if is_there(folder / place)), places[0])
        file = PhotoFile(name=photo_name(place), path=folder / place)
        if file.name in named:
            raise InputError(
                f"{camera.where} and {named[file.name][1].where} are both of '{file.name}', so one "
                "of them is wrong; remove it"
            )
        named[file.name] = file, camera
    return named


def _below(folder: Path, path: str, where: str) -> PurePosixPath:
    """A path that a sidecar names, which must be relative and stay in the scene."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise InputError(
            f"{where} in '{folder}' names '{path}', which is not a path below that folder, so it "
            "would mean another file elsewhere; write paths relative to the scene's folder"
        )
    return relative


def _photo_files(
    folder: Path,
    listed: Sequence[Path],
    references: Sequence[_Reference],
    named: Mapping[str, tuple[PhotoFile, GivenCamera]],
) -> SceneFiles:
    present = {name: file for name, (file, _) in named.items() if is_there(file.path)}
    places = {file.path.parent for file in present.values()}
    photos = dict(present)
    for path in listed:
        if places and path.parent not in places:
            continue
        if (
            other := photos.setdefault(path.name, PhotoFile(name=path.name, path=path))
        ).path != path:
            raise InputError(
                f"'{other.path}' and '{path}' would both be called '{path.name}'; rename one"
            )
    names = sorted(photos)
    reference = references[0] if references else None
    given = {name: camera for name, (_, camera) in named.items()}
    if reference is not None and reference.kind == "cameras_gt":
        given = read_cameras(reference.files[0], names)
    masks = masks_by_photo(_masks(folder), names)
    masks |= {
        name: folder / camera.mask
        for name, camera in given.items()
        if camera.mask is not None and name in photos
    }
    return SceneFiles(
        folder=folder,
        kind="photos",
        photos=tuple(photos[name] for name in names),
        missing=tuple(
            Rejected(name=name, reason=_why_missing(folder, file, camera))
            for name, (file, camera) in sorted(named.items())
            if name not in present
        ),
        reference_kind=None if reference is None else reference.kind,
        reference_files=() if reference is None else reference.files,
        reference_ignored=tuple(other.title for other in references[1:]),
        given=given,
        depth=depth_by_photo(_depth_maps(folder), names),
        masks=masks,
    )


def _why_missing(folder: Path, file: PhotoFile, camera: GivenCamera) -> str:
    return (
        f"is missing: {camera.where} gives its camera and "
        f"{file.path.relative_to(folder).as_posix()} is not there; add the photo"
    )


def _video_files(
    folder: Path, videos: tuple[Path, ...], references: Sequence[_Reference]
) -> SceneFiles:
    """A COLMAP model names photos that somebody took out of the video, by names of his own."""
    if len({video.stem for video in videos}) < len(videos):
        raise InputError(
            f"'{folder}' holds videos that differ in their ending only "
            f"({', '.join(video.name for video in videos)}), so their frames would have equal "
            "names; rename or remove one"
        )
    reference = next((each for each in references if each.kind != "colmap"), None)
    given: dict[str, GivenCamera] = {}
    if reference is not None and reference.kind == "cameras_gt":
        given = read_cameras(reference.files[0], (), videos)
    elif reference is not None:
        given = {_frame_named(camera, videos): camera for camera in _cameras(reference)}
    depth, masks = _depth_maps(folder), _masks(folder)
    # Frames are chosen when the video is decoded: take all that the sidecars could name.
    meant = {f"{path.stem}.png" for path in depth}
    meant |= {name.removesuffix(".png") + end for name in masks for end in ("", ".png")}
    names = sorted(name for name in meant if frame_of(name, videos)) or [frame_name(videos[0], 0)]
    return SceneFiles(
        folder=folder,
        kind="video",
        videos=videos,
        reference_kind=None if reference is None else reference.kind,
        reference_files=() if reference is None else reference.files,
        reference_ignored=tuple(each.title for each in references if each is not reference),
        given=given,
        depth=depth_by_photo(depth, names),
        masks=masks_by_photo(masks, names),
    )


def _frame_named(camera: GivenCamera, videos: Sequence[Path]) -> str:
    name = f"{PurePosixPath(camera.image).stem}.png"
    if frame_of(name, videos) is None:
        raise InputError(
            f"{camera.where} is the camera of '{camera.image}', which is no frame of a video: they "
            f"are called '{frame_name(videos[0], 0)}', counted from 0; correct the name, or add "
            "the photo"
        )
    return name


def _depth_maps(folder: Path) -> list[Path]:
    place = folder / DEPTH_FOLDER
    maps = entries_of(place) if is_folder(place) else []
    return [path for path in maps if path.suffix.lower() == ".png"]


def _masks(folder: Path) -> dict[str, Path]:
    place = folder / MASK_FOLDER
    files = files_below(place) if is_folder(place) else ()
    return {
        mask_name(PurePosixPath(path.relative_to(place).as_posix())): path
        for path in files
        if path.suffix.lower() == ".png"
    }


def _content(path: Path) -> str:
    try:
        with opened(path, path.name) as file:
            return file_digest(file, "sha256").hexdigest()
    except PhotoError as error:
        return error.reason
