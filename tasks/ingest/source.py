"""The files that make a scene, and one digest of all that is read from them.

A scene is a folder of photos, a folder with a video or several and no photos, or a video file
(which is then read alone, whatever stands beside it).

Cameras may come with the photos, see :mod:`tasks.ingest.references`.

Where a COLMAP model or a transforms file names photos, those are taken wherever they stand below
the folder, and with them the unnamed ones that stand in the same folder as a named one. A photo
that is called otherwise than in the file (another case or ending, the folders of another computer)
is found by its name, see :mod:`tasks.ingest.naming`.
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
from tasks.ingest.decode import PhotoError, heif_reader, is_heif, opened
from tasks.ingest.folder import (
    BLENDER_NAMES,
    DEPTH_FOLDER,
    MASK_FOLDER,
    PHOTO_FOLDERS,
    PHOTO_SUFFIXES,
    PhotoFile,
    Rejected,
    entries_of,
    files_below,
    frame_name,
    frame_of,
    is_folder,
    is_video,
)
from tasks.ingest.given import GivenCamera
from tasks.ingest.listing import Listing, list_photos, photo_file
from tasks.ingest.masks import mask_name, masks_by_photo
from tasks.ingest.naming import Named, find_named, mask_of
from tasks.ingest.references import ReadReference, ReferenceKind, find_references, read_references
from tasks.ingest.sidecars import depth_by_photo, read_cameras
from tasks.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFiles:
    """Everything of a scene that ingest reads; mappings are by the name of a photo."""

    folder: Path
    kind: Literal["photos", "video"]
    photos: tuple[PhotoFile, ...] = ()
    """Sorted by name; names are unique."""
    missing: tuple[Rejected, ...] = ()
    """Photos that have a camera and are not there, or whose camera is none."""
    videos: tuple[Path, ...] = ()
    """Where the scene has no photos; sorted as their frames' names are, stems are unique."""
    reference_kind: ReferenceKind | None = None
    reference_files: tuple[Path, ...] = ()
    reference_title: str = ""
    """What gives the cameras."""
    reference_ignored: tuple[str, ...] = ()
    """What would give cameras too, and is passed over."""
    given: Mapping[str, GivenCamera] = field(default_factory=dict)
    depth: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    place: str = ""
    """Folder of the photos below the scene's; empty for the scene's own."""
    remarks: tuple[str, ...] = ()
    """What was passed over, or found under another name."""

    @property
    def upright(self) -> bool:
        """Whether EXIF orientation is applied. COLMAP and most tools that write transforms files
        ignore it, so their cameras are for the pixels as stored, unless their size says otherwise
        (see :func:`tasks.ingest.photos.read_photo`)."""
        return self.reference_kind not in ("colmap", "transforms")

    @property
    def blender(self) -> bool:
        return any(path.name in BLENDER_NAMES for path in self.reference_files)


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
    listed = list_photos(folder)
    videos = tuple(
        sorted(
            (entry for entry in entries_of(folder) if is_video(entry)),
            key=lambda video: frame_name(video, 0),
        )
    )
    read = read_references(folder)
    named = find_named(folder, read) if read else Named()
    if listed.photos or named.present or (named.cameras and not videos):
        return _photo_files(folder, listed, read, named)
    if videos:
        return _video_files(folder, videos)
    raise InputError(_nothing_found(folder))


def reference_files(folder: Path) -> tuple[Path, ...]:
    """The files of a scene that would give cameras, unread; none beside a video file."""
    if is_video(folder):
        return ()
    return tuple(file for reference in find_references(folder) for file in reference.files)


def digest_source(folder: Path) -> Source:
    """Digest a scene; see :func:`find_files` and :func:`digest_files`."""
    return digest_files(find_files(folder))


def digest_files(files: SceneFiles) -> Source:
    """Digest the names and bytes of everything that ingest would read.

    Where the folder lies, and whether its photos stand in ``images/``, does not count. A file that
    cannot be read counts by the reason why. What is passed over does not count, so that litter of
    other systems costs no computation.

    Raises:
        MachineError: the machine failed to read a file.
    """
    labelled = [
        *((f"photo {photo.camera}".rstrip(), photo.name, photo.path) for photo in files.photos),
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


def _nothing_found(folder: Path) -> str:
    inside = [
        entry.name
        for entry in entries_of(folder)
        if is_folder(entry) and entry.name not in (MASK_FOLDER, DEPTH_FOLDER)
        if list_photos(entry).photos
    ]
    if inside:
        return (
            f"'{folder}' holds no photo itself, and its folders {', '.join(map(repr, inside[:4]))} "
            "hold some, so it is unclear whether they are one scene; use 'unseen run' where each "
            f"is a scene, or move them into the folder '{PHOTO_FOLDERS[0]}' of one scene"
        )
    return (
        f"'{folder}' holds no photo (JPEG, PNG, WebP, TIFF, HEIC or AVIF), neither itself nor in a "
        f"folder {', '.join(map(repr, PHOTO_FOLDERS))}, and no video, so there is nothing to "
        "reconstruct; put the photos of one scene there"
    )


def _photo_files(
    folder: Path, listed: Listing, read: ReadReference | None, named: Named
) -> SceneFiles:
    present = named.present
    broken = {file.path for file, _ in named.unusable}
    places = {file.path.parent for file in present.values()}
    photos = dict(present)
    elsewhere = 0
    for path in listed.photos:
        if path in broken:
            continue
        if places and path.parent not in places:
            elsewhere += 1
            continue
        file = photo_file(folder, path)
        if (other := photos.setdefault(file.name, file)).path != path:
            raise InputError(
                f"'{other.path}' and '{path}' would both be called '{file.name}'; rename one"
            )
    names = sorted(photos)
    given = {name: camera for name, (_, camera) in named.cameras.items()}
    if read is not None and read.reference.kind == "cameras_gt":
        given = read_cameras(read.reference.files[0], names)
    remarks = [*listed.remarks, *named.remarks(folder)]
    if elsewhere:
        remarks.append(
            f"{elsewhere} photos in '{listed.place or folder.name}' passed over: the cameras are "
            "of photos in another folder"
        )
    own = _masks(folder)
    if own and listed.masks:
        remarks.append(
            f"{len(listed.masks)} masks beside the photos passed over, for {MASK_FOLDER}/"
        )
    masks = masks_by_photo(own or listed.masks, names)
    masks |= {
        name: mask_of(folder, camera.mask, camera.where)
        for name, camera in given.items()
        if camera.mask is not None and name in photos
    }
    return SceneFiles(
        folder=folder,
        kind="photos",
        photos=tuple(photos[name] for name in names),
        missing=tuple(named.absent),
        reference_kind=None if read is None else read.reference.kind,
        reference_files=() if read is None else read.reference.files,
        reference_title="" if read is None else read.reference.title,
        reference_ignored=() if read is None else read.ignored,
        given=given,
        depth=depth_by_photo(_depth_maps(folder), names),
        masks=masks,
        place=listed.place,
        remarks=tuple(remarks),
    )


def _video_files(folder: Path, videos: tuple[Path, ...]) -> SceneFiles:
    """A COLMAP model names photos that somebody took out of the video, by names of his own."""
    if len({video.stem for video in videos}) < len(videos):
        raise InputError(
            f"'{folder}' holds videos that differ in their ending only "
            f"({', '.join(video.name for video in videos)}), so their frames would have equal "
            "names; rename or remove one"
        )
    read = read_references(folder, models=False)
    given: dict[str, GivenCamera] = {}
    missing: list[Rejected] = []
    if read is not None and read.reference.kind == "cameras_gt":
        given = read_cameras(read.reference.files[0], (), videos)
    elif read is not None:
        given = {_frame_named(one.image, one.where, videos): one for one in read.given.cameras}
        missing = [
            Rejected(name=_frame_named(one.image, "a frame", videos), reason=one.reason)
            for one in read.given.unusable
        ]
    depth, masks = _depth_maps(folder), _masks(folder)
    # Frames are chosen when the video is decoded: take all that the sidecars could name.
    meant = {f"{path.stem}.png" for path in depth}
    stems = {PurePosixPath(name).stem for name in masks}
    meant |= {stem + end for stem in stems for end in ("", ".png")}
    names = sorted(name for name in meant if frame_of(name, videos)) or [frame_name(videos[0], 0)]
    return SceneFiles(
        folder=folder,
        kind="video",
        videos=videos,
        missing=tuple(missing),
        reference_kind=None if read is None else read.reference.kind,
        reference_files=() if read is None else read.reference.files,
        reference_title="" if read is None else read.reference.title,
        reference_ignored=tuple(
            one.title
            for one in find_references(folder)
            if read is None or one.title != read.reference.title
        ),
        given=given,
        depth=depth_by_photo(depth, names),
        masks=masks_by_photo(masks, names),
    )


def _frame_named(image: str, where: str, videos: Sequence[Path]) -> str:
    name = f"{PurePosixPath(image).stem}.png"
    if frame_of(name, videos) is None:
        raise InputError(
            f"{where} is the camera of '{image}', which is no frame of a video: they "
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
        if path.suffix.lower() in PHOTO_SUFFIXES
    }


def _content(path: Path) -> str:
    try:
        with opened(path, path.name) as file:
            digest = file_digest(file, "sha256").hexdigest()
            file.seek(0)
            # What another reader makes of a photo is another photo.
            return f"{digest} {heif_reader()}" if is_heif(file.read(12)) else digest
    except PhotoError as error:
        return error.reason
