"""Photographs as upright RGB arrays, one at a time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tasks.errors import InputError
from tasks.images import fitted_sizes
from tasks.ingest.config import IngestConfig
from tasks.ingest.decode import PhotoError, decoded
from tasks.ingest.exif import SIDEWAYS, TRANSPOSE, Exif, Gps, camera_name, focal_px, read_exif
from tasks.ingest.source import UNREAD_SUFFIXES, SceneFiles
from tasks.site import Progress, no_progress

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
    source_size: tuple[int, int]
    """Width and height of the upright photo before it was reduced, pixels."""
    focal_px: float | None
    """From EXIF, in pixels of ``pixels``."""
    camera: str
    """Equal for photos that may share intrinsics; see :func:`tasks.ingest.exif.camera_name`."""
    gps: Gps | None
    """Latitude and longitude, degrees; altitude, metres, if known."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of ``pixels``."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A file that could not be used; ``"<name> <reason>"`` reads as a sentence."""

    name: str
    reason: str


def read_photo(path: Path, name: str, config: IngestConfig) -> Photo:
    """Decode a photo fully, turn it upright, reduce it, and check that it shows something.

    Of several frames the first counts. Grey, palette, CMYK and 16-bit pixels become 8-bit RGB
    (65535 becomes 255). What is transparent becomes black, in proportion: a cut-out object then
    stands before black as in the usual object captures. Embedded colour profiles are ignored.

    Raises:
        PhotoError: the photo cannot be used.
        MachineError: the machine failed to read it.
    """
    _check_name(path, name)
    with decoded(path, name, config.max_pixels) as image:
        exif = read_exif(image)
        stored_size = image.size
        width, height = fitted_sizes(np.array([stored_size]), config.max_size)[0].tolist()
        if min(width, height) < SMALLEST_EDGE:
            raise PhotoError(
                name,
                f"is too small: {stored_size[0]}x{stored_size[1]} pixels, and both edges must "
                f"keep {SMALLEST_EDGE} at a longest edge of {config.max_size}; replace it",
            )
        # Reduced, then turned: the filter is the same along both axes, and there is less to turn.
        reduced = _rgb(image, name).resize((width, height), Image.Resampling.LANCZOS)
    _check_shows_something(reduced, name)
    return _upright(reduced, stored_size, exif, name)


class PhotoFolder:
    """The usable photos of a scene folder, in the order of their names, one at a time.

    Iterating decodes; at most one photo is held. Then ``rejected`` tells the files left out.
    """

    def __init__(
        self, files: SceneFiles, config: IngestConfig, progress: Progress = no_progress
    ) -> None:
        self._paths = files.photos
        self._title = files.folder.name or str(files.folder)
        self._config = config
        self._progress = progress
        self._rejected: list[Rejected] = []

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The files left out so far."""
        return tuple(self._rejected)

    def __iter__(self) -> Iterator[Photo]:
        """
        Raises:
            InputError: fewer than the config's ``min_photos`` could be used; after the last one.
            MachineError: the machine failed to read a photo.
        """
        self._rejected.clear()
        first_with: dict[bytes, str] = {}
        found = len(self._paths)
        for index, path in enumerate(self._paths):
            self._progress(index / found, f"reading photo {index + 1} of {found}")
            try:
                photo = read_photo(path, path.name, self._config)
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
                yield photo
        if found - len(self._rejected) < self._config.min_photos:
            raise InputError(_too_few(self._title, found, self._rejected, self._config.min_photos))
        self._progress(1.0, f"read {found - len(self._rejected)} of {found} photos")


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


def _rgb(image: Image.Image, name: str) -> Image.Image:
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
        behind = Image.new("RGB", image.size)
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


def _upright(reduced: Image.Image, stored_size: tuple[int, int], exif: Exif, name: str) -> Photo:
    turn = TRANSPOSE.get(exif.orientation)
    upright = reduced if turn is None else reduced.transpose(turn)
    source_size = stored_size[::-1] if exif.orientation in SIDEWAYS else stored_size
    return Photo(
        name=name,
        pixels=np.asarray(upright),
        source_size=source_size,
        focal_px=focal_px(exif, upright.size),
        camera=camera_name(exif, source_size),
        gps=exif.gps,
    )


def _fingerprint(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    return sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def _too_few(title: str, found: int, rejected: list[Rejected], needed: int) -> str:
    remain = found - len(rejected)
    if not rejected:
        return (
            f"'{title}' holds {found} photos and structure from motion needs at least {needed}; "
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
