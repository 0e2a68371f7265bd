"""Photographs as upright RGB arrays, one at a time."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from tasks.errors import InputError
from tasks.images import fitted_sizes, resized_mask
from tasks.ingest.config import IngestConfig
from tasks.ingest.decode import PhotoError, decoded_to
from tasks.ingest.exif import SIDEWAYS, TRANSPOSE, Exif, Gps, camera_name, focal_px, read_exif
from tasks.ingest.folder import CAMERAS_NAME, UNREAD_SUFFIXES, Rejected, frame_of
from tasks.ingest.given import Size, same_shape
from tasks.ingest.levels import Levels, levels_of
from tasks.ingest.masks import read_mask
from tasks.ingest.pixels import Background, check_shows_something, opaque_where_cut_out, rgb
from tasks.ingest.source import SceneFiles
from tasks.ingest.video import Frame, frames_at, intervals_s, read_video, sharpest_frames
from tasks.runtime.context import Context

DECODED_EDGES = 2
"""Longest edge at which a JPEG is decoded at least, over that to which it is reduced: no detail
that the reduced photo can show is lost."""

SMALLEST_EDGE = 16
"""Pixels: no feature detector finds anything in fewer."""

REASONS_SHOWN = 3

TURNED = "turned upright by EXIF"
TURNED_TO_FIT = "turned upright by EXIF, since only so their cameras fit"
NOT_TURNED = "left as stored, though EXIF says turned, since cameras are given for them so"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Photo:
    """A usable photo."""

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB, sRGB as the file gives it, upright, reduced to the config's ``max_size``."""
    mask: Bool[np.ndarray, "h w"] | None
    """True where a pixel may be used; None where all may."""
    source_size: Size
    """Width and height of the upright photo before it was reduced, pixels."""
    focal_px: float | None
    """From EXIF, in pixels of ``pixels``."""
    camera: str
    """Equal for photos that may share intrinsics; see :func:`tasks.ingest.exif.camera_name`."""
    gps: Gps | None
    """Latitude and longitude, degrees; altitude, metres, if known."""
    remarks: tuple[str, ...] = ()
    """What was done to it beside reducing it."""

    @property
    def size(self) -> Size:
        """Width and height of ``pixels``."""
        return self.pixels.shape[1], self.pixels.shape[0]


def read_photo(
    path: Path,
    name: str,
    config: IngestConfig,
    *,
    upright: bool = True,
    background: Background = "black",
    mask: Path | None = None,
    camera_size: Size | None = None,
    levels: Levels = Levels(),
) -> Photo:
    """Decode a photo fully, turn it upright, reduce it, and check that it shows something.

    Of several frames the first counts. Grey, palette, CMYK and 16-bit pixels become 8-bit RGB.
    What is transparent becomes the background, in proportion. Embedded colour profiles are
    ignored.

    Args:
        upright: whether EXIF orientation is applied.
        background: what stands behind transparent pixels.
        mask: the photo's mask, if it has one.
        camera_size: width and height of the photo that its given camera is for, if they are given:
            orientation is applied also where only the turned photo has that shape.
        levels: of grey photos of more than 8 bits; by default 65535 becomes 255.

    Raises:
        PhotoError: the photo cannot be used.
        MachineError: the machine failed to read it.
    """
    _check_name(path, name)
    edge = DECODED_EDGES * config.max_size
    with decoded_to(path, name, config.max_pixels, edge) as (image, stored_size):
        exif = read_exif(image, stored_size)
        fits = upright or _fits_turned(exif, stored_size, camera_size)
        turn = TRANSPOSE.get(exif.orientation) if fits else None
        size = _reduced_size(stored_size, name, config)
        masks = []
        if mask is not None:
            masks.append(read_mask(mask, name, stored_size, config.max_pixels))
        opaque, transparent = opaque_where_cut_out(image, config.alpha_as_mask)
        if opaque is not None:
            masks.append(opaque)
        # Reduced, then turned: the filter is the same along both axes, and there is less to turn.
        reduced = rgb(image, name, background, levels).resize(size, Image.Resampling.LANCZOS)
        decoded_size = image.size
    check_shows_something(reduced, name)
    sideways = turn is not None and exif.orientation in SIDEWAYS
    source_size = stored_size[::-1] if sideways else stored_size
    turned = reduced if turn is None else reduced.transpose(turn)
    remarks = {
        TURNED: turn is not None and upright,
        TURNED_TO_FIT: turn is not None and not upright,
        NOT_TURNED: turn is None and exif.orientation != 1,
        "cut out by transparency, which became a mask": opaque is not None and transparent,
        f"transparent in parts, laid over {background}": opaque is None and transparent,
        "reduced while decoding": decoded_size != stored_size,
    }
    return Photo(
        name=name,
        pixels=np.asarray(turned),
        mask=_reduced_mask(masks, size, turn, name),
        source_size=source_size,
        focal_px=focal_px(exif, turned.size),
        camera=camera_name(exif, source_size),
        gps=exif.gps,
        remarks=tuple(remark for remark, holds in remarks.items() if holds),
    )


def photo_of_frame(frame: Frame, video: Path, config: IngestConfig, mask: Path | None) -> Photo:
    """A frame of a video as a photo, checked as one.

    Raises:
        PhotoError: the frame cannot be used.
        MachineError: the machine failed to read the mask.
    """
    size = _reduced_size(frame.source_size, frame.name, config)
    check_shows_something(frame.picture, frame.name)
    masks = []
    if mask is not None:
        masks.append(read_mask(mask, frame.name, frame.source_size, config.max_pixels))
    width, height = frame.source_size
    return Photo(
        name=frame.name,
        pixels=np.asarray(frame.picture),
        mask=_reduced_mask(masks, size, None, frame.name),
        source_size=frame.source_size,
        focal_px=None,
        camera=f"video|{video.stem}|{width}x{height}",
        gps=None,
        remarks=("of high dynamic range, tone-mapped to sRGB",) if frame.tone_mapped else (),
    )


class PhotoFolder:
    """The usable photos of a scene, in the order of their names, one at a time.

    Iterating decodes; at most one photo is held. Then ``rejected`` lists the files left out.
    """

    def __init__(
        self, files: SceneFiles, config: IngestConfig, *, context: Context = Context()
    ) -> None:
        self._files = files
        self._title = files.folder.name or str(files.folder)
        self._config = config
        self._progress = context.progress
        self._rejected: list[Rejected] = []
        self._remarks: list[str] = []

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The files left out so far."""
        return tuple(self._rejected)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done to all photos."""
        return tuple(self._remarks)

    def __iter__(self) -> Iterator[Photo]:
        """
        Raises:
            InputError: fewer than the config's ``min_photos`` could be used; after the last one;
                or a video cannot be read.
            MachineError: the machine failed to read a photo.
        """
        self._rejected[:] = self._files.missing
        self._remarks.clear()
        first_with: dict[bytes, str] = {}
        usable = 0
        for read in self._frames() if self._files.kind == "video" else self._photos():
            try:
                photo = read()
                original = first_with.setdefault(_fingerprint(photo.pixels), photo.name)
                if original != photo.name:
                    raise PhotoError(
                        photo.name,
                        f"is a duplicate: its {photo.size[0]}x{photo.size[1]} pixels are those of "
                        f"{original}; remove one of the two",
                    )
            except PhotoError as error:
                self._rejected.append(Rejected(name=error.name, reason=error.reason))
            else:
                usable += 1
                yield photo
        found = usable + len(self._rejected)
        if usable < self._config.min_photos:
            raise InputError(_too_few(self._title, found, self._rejected, self._config.min_photos))
        self._progress(1.0, f"read {usable} of {found} photos")

    def _photos(self) -> Iterator[Callable[[], Photo]]:
        files, found = self._files, len(self._files.photos)
        config, background = self._config, self._config.background
        if background == "auto":
            background = "white" if files.blender else "black"
        if files.blender and config.alpha_as_mask is None:
            config = config.model_copy(update={"alpha_as_mask": False})
        levels = levels_of(files.photos, config.max_pixels)
        self._remarks += levels.remarks()
        for index, photo in enumerate(files.photos):
            self._progress(index / found, f"reading photo {index + 1} of {found}")
            camera = files.given.get(photo.name)
            yield partial(
                _of_camera,
                photo.camera,
                partial(
                    read_photo,
                    photo.path,
                    photo.name,
                    config,
                    upright=files.upright,
                    background=background,
                    mask=files.masks.get(photo.name),
                    camera_size=None if camera is None or files.upright else camera.size,
                    levels=levels,
                ),
            )

    def _frames(self) -> Iterator[Callable[[], Photo]]:
        files, config = self._files, self._config
        take = config.video.take
        if take == "auto":
            take = "posed" if files.reference_kind == "transforms" else "sharpest"
        posed = {video: dict[int, str]() for video in files.videos}
        for name in files.given:
            if found := frame_of(name, files.videos):
                posed[found[0]][found[1]] = name
        if take == "posed" and not files.given:
            raise InputError(
                f"'{self._title}' is to give its frames with known poses, and neither "
                f"{CAMERAS_NAME} nor transforms.json stands beside its video; add one, or set "
                "ingest.video.take to 'sharpest'"
            )
        videos = [read_video(path, config.max_pixels) for path in files.videos]
        for done, (video, interval_s) in enumerate(
            zip(videos, intervals_s(videos, config.video), strict=True)
        ):
            missing = posed[video.path] if take == "posed" else {}
            edges = (config.max_size, config.max_pixels)
            frames = (
                frames_at(video, frozenset(missing), *edges)
                if take == "posed"
                else sharpest_frames(video, interval_s, *edges)
            )
            for frame in frames:
                share = (frame.time_s - video.start_s) / max(video.duration_s, 1e-9)
                self._progress((done + share) / len(videos), f"read {frame.name}")
                missing.pop(frame.index, None)
                yield partial(
                    photo_of_frame, frame, video.path, config, files.masks.get(frame.name)
                )
            for name in missing.values():
                self._rejected.append(
                    Rejected(
                        name=name,
                        reason=f"is missing: {video.path.name} has no whole frame of that index, "
                        "counted from 0, though a camera is given for it; correct its index",
                    )
                )


def _of_camera(folder: str, read: Callable[[], Photo]) -> Photo:
    """A photo whose camera is told from others by its folder."""
    photo = read()
    return replace(photo, camera=f"{photo.camera}|{folder}") if folder else photo


def _reduced_size(stored_size: Size, name: str, config: IngestConfig) -> Size:
    width, height = fitted_sizes(np.array([stored_size]), config.max_size)[0].tolist()
    if min(width, height) < SMALLEST_EDGE:
        raise PhotoError(
            name,
            f"is too small: {stored_size[0]}x{stored_size[1]} pixels, and both edges must "
            f"keep {SMALLEST_EDGE} at a longest edge of {config.max_size}; replace it",
        )
    return width, height


def _fits_turned(exif: Exif, stored_size: Size, camera_size: Size | None) -> bool:
    """Whether a given camera is for the photo as EXIF turns it, and cannot be for it as stored."""
    return (
        camera_size is not None
        and exif.orientation in SIDEWAYS
        and not same_shape(camera_size, stored_size)
        and same_shape(camera_size, stored_size[::-1])
    )


def _reduced_mask(
    masks: Sequence[Bool[np.ndarray, "_ _"]], size: Size, turn: Image.Transpose | None, name: str
) -> Bool[np.ndarray, "_ _"] | None:
    """What all masks of a photo let be used, for the pixels as stored; None without masks."""
    if not masks:
        return None
    reduced = np.logical_and.reduce([resized_mask(mask, size) for mask in masks])
    if not reduced.any():
        raise PhotoError(
            name,
            f"is masked out: of its {size[0]}x{size[1]} pixels not one may be used; correct its "
            "mask (what is not black is used) or remove the photo",
        )
    if turn is None:
        return reduced
    return np.asarray(Image.fromarray(reduced.astype(np.uint8)).transpose(turn)) > 0


def _check_name(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise PhotoError(
            name.encode(errors="backslashreplace").decode(),
            "has a broken name: it is not UTF-8, so no table could show it; rename it",
        ) from error
    if path.suffix.lower() in UNREAD_SUFFIXES:  # raw files are TIFF inside, with a thumbnail first
        raise PhotoError(
            name,
            f"is of a kind that is not read: {path.suffix.lower()[1:].upper()}; convert it to "
            "JPEG, PNG, WebP or TIFF",
        )


def _fingerprint(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    return sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def _too_few(title: str, found: int, rejected: list[Rejected], needed: int) -> str:
    remain = found - len(rejected)
    if not rejected:
        photos = "1 photo" if found == 1 else f"{found} photos"
        return (
            f"'{title}' holds {photos} and structure from motion needs at least {needed}; "
            "add photos"
        )
    if remain == 0:
        kinds = Counter(_kind(each) for each in rejected)
        kind, count = kinds.most_common(1)[0]
        example = next(each for each in rejected if _kind(each) == kind)
        return (
            f"none of the {found} files in '{title}' could be used, {count} of them for one "
            f"reason ({example.name} {example.reason}), so there is nothing to reconstruct; "
            "replace them"
        )
    shown = ", ".join(f"({each.name} {each.reason})" for each in rejected[:REASONS_SHOWN])
    more = len(rejected) - REASONS_SHOWN
    return (
        f"{len(rejected)} of {found} files in '{title}' could not be used: {shown}"
        f"{f' and {more} more' if more > 0 else ''}; {remain} photos remain and structure from "
        f"motion needs at least {needed}; add photos"
    )


def _kind(rejected: Rejected) -> str:
    return rejected.reason.split(":")[0]
