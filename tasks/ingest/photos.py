"""Photographs as upright RGB arrays, one at a time."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from tasks.errors import InputError
from tasks.images import fitted_sizes, resized_mask
from tasks.ingest.config import IngestConfig
from tasks.ingest.decode import PhotoError, decoded
from tasks.ingest.exif import SIDEWAYS, TRANSPOSE, Gps, camera_name, focal_px, read_exif
from tasks.ingest.folder import CAMERAS_NAME, UNREAD_SUFFIXES, Rejected, frame_of
from tasks.ingest.given import Size
from tasks.ingest.masks import read_mask
from tasks.ingest.source import SceneFiles
from tasks.ingest.video import Frame, frames_at, intervals_s, read_video, sharpest_frames
from tasks.runtime.context import Context

Background = Literal["black", "white"]

SMALLEST_EDGE = 16
"""Pixels: no feature detector finds anything in fewer."""

FAINT_LEVELS = 8
"""Of 255: sensor noise and JPEG stay below it on a covered or blinded lens."""

OUTLIER_SHARE = 1e-3
"""Share of the pixels at either end (hot pixels, a date stamp) that does not make a picture."""

REASONS_SHOWN = 3

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
"""Pillow's modes that have a defined way to 8-bit RGB; the 16-bit ones are converted by us."""


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
) -> Photo:
    """Decode a photo fully, turn it upright, reduce it, and check that it shows something.

    Of several frames the first counts. Grey, palette, CMYK and 16-bit pixels become 8-bit RGB
    (65535 becomes 255). What is transparent becomes the background, in proportion. Embedded colour
    profiles are ignored.

    Args:
        upright: whether EXIF orientation is applied.
        background: what stands behind transparent pixels.
        mask: the photo's mask, if it has one.

    Raises:
        PhotoError: the photo cannot be used.
        MachineError: the machine failed to read it.
    """
    _check_name(path, name)
    with decoded(path, name, config.max_pixels) as image:
        exif = read_exif(image)
        turn = TRANSPOSE.get(exif.orientation) if upright else None
        stored_size = image.size
        size = _reduced_size(stored_size, name, config)
        used = None if mask is None else read_mask(mask, name, stored_size, config.max_pixels)
        if config.alpha_as_mask and image.has_transparency_data:
            opaque = np.asarray(image.convert("RGBA").getchannel("A")) == 255
            used = opaque if used is None else used & opaque
        # Reduced, then turned: the filter is the same along both axes, and there is less to turn.
        reduced = _rgb(image, name, background).resize(size, Image.Resampling.LANCZOS)
    _check_shows_something(reduced, name)
    sideways = turn is not None and exif.orientation in SIDEWAYS
    source_size = stored_size[::-1] if sideways else stored_size
    turned = reduced if turn is None else reduced.transpose(turn)
    return Photo(
        name=name,
        pixels=np.asarray(turned),
        mask=None if used is None else _reduced_mask(used, size, turn, name),
        source_size=source_size,
        focal_px=focal_px(exif, turned.size),
        camera=camera_name(exif, source_size),
        gps=exif.gps,
    )


def photo_of_frame(frame: Frame, video: Path, config: IngestConfig, mask: Path | None) -> Photo:
    """A frame of a video as a photo, checked as one.

    Raises:
        PhotoError: the frame cannot be used.
        MachineError: the machine failed to read the mask.
    """
    size = _reduced_size(frame.source_size, frame.name, config)
    _check_shows_something(frame.picture, frame.name)
    used = (
        None if mask is None else read_mask(mask, frame.name, frame.source_size, config.max_pixels)
    )
    width, height = frame.source_size
    return Photo(
        name=frame.name,
        pixels=np.asarray(frame.picture),
        mask=None if used is None else _reduced_mask(used, size, None, frame.name),
        source_size=frame.source_size,
        focal_px=None,
        camera=f"video|{video.stem}|{width}x{height}",
        gps=None,
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

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The files left out so far."""
        return tuple(self._rejected)

    def __iter__(self) -> Iterator[Photo]:
        """
        Raises:
            InputError: fewer than the config's ``min_photos`` could be used; after the last one;
                or a video cannot be read.
            MachineError: the machine failed to read a photo.
        """
        self._rejected[:] = self._files.missing
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
        background = self._config.background
        if background == "auto":
            background = "white" if files.blender else "black"
        for index, photo in enumerate(files.photos):
            self._progress(index / found, f"reading photo {index + 1} of {found}")
            yield partial(
                read_photo,
                photo.path,
                photo.name,
                self._config,
                upright=files.upright,
                background=background,
                mask=files.masks.get(photo.name),
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


def _reduced_size(stored_size: Size, name: str, config: IngestConfig) -> Size:
    width, height = fitted_sizes(np.array([stored_size]), config.max_size)[0].tolist()
    if min(width, height) < SMALLEST_EDGE:
        raise PhotoError(
            name,
            f"is too small: {stored_size[0]}x{stored_size[1]} pixels, and both edges must "
            f"keep {SMALLEST_EDGE} at a longest edge of {config.max_size}; replace it",
        )
    return width, height


def _reduced_mask(
    used: Bool[np.ndarray, "_ _"], size: Size, turn: Image.Transpose | None, name: str
) -> Bool[np.ndarray, "_ _"]:
    reduced = resized_mask(used, size)
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


def _rgb(image: Image.Image, name: str, background: Background) -> Image.Image:
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8)).convert("RGB")
    if image.mode not in MODES:
        raise PhotoError(
            name,
            f"has pixels of an unknown scale: mode {image.mode} of Pillow, which says neither "
            "where black lies nor where white; convert it to 8 or 16 bits",
        )
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        behind = Image.new("RGB", image.size, background)
        behind.paste(colours, mask=colours.getchannel("A"))
        return behind
    return image.convert("RGB")


def _check_shows_something(image: Image.Image, name: str) -> None:
    """Refuse black and blank photos by the range of their grey levels, outliers apart."""
    counts = np.array(image.convert("L").histogram()).cumsum()
    low, high = np.searchsorted(
        counts, [OUTLIER_SHARE * counts[-1], (1.0 - OUTLIER_SHARE) * counts[-1]], side="left"
    )
    share = 100 * (1.0 - OUTLIER_SHARE)
    if high <= FAINT_LEVELS:
        raise PhotoError(
            name,
            f"is black: {share:g} % of its pixels are at most {high} of 255, so there is nothing "
            "to match; remove it",
        )
    if high - low <= FAINT_LEVELS:
        raise PhotoError(
            name,
            f"is blank: all but {200 * OUTLIER_SHARE:g} % of its pixels lie between {low} and "
            f"{high} of 255, so there is nothing to match; remove it",
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
