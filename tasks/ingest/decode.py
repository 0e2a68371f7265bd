"""Opening image files that nobody vouches for."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from tasks.errors import InputError, MachineError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
"""What is tried, by content and not by name; Pillow's other readers are never reached."""

HEIF_READERS = ("pi_heif", "pillow_heif")
"""Packages that add HEIC to Pillow; the first that is installed reads it."""

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""What bytes 8 to 12 of such a file are; before them stands ``ftyp``."""

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*")
"""How files of these formats begin."""

ERRNOS_OF_THE_INPUT = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}
)
"""The rest (a failing disk, a lost network mount, no descriptors left) may be gone on a retry."""

BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""What some tools put before text, and what it says of the rest."""

MOST_STREAMED_PIXELS = 1_000_000_000
"""Width times height of a JPEG that is reduced while it is decoded, line by line."""

LARGEST_TEXT = 256 << 20
"""Bytes of a file that is read whole."""

_OPENING = threading.Lock()


class PhotoError(InputError):
    """One image file cannot be used; the others of its folder may be.

    ``reason`` opens with its kind and a colon (``"is truncated: ..."``), so that reasons can be
    counted; ``str`` is ``"<name> <reason>"``.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


@contextmanager
def decoded(path: Path, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """The first frame of an image file, every pixel of it decoded.

    Args:
        name: what the file is called in messages.
        max_pixels: width times height above which the header alone is read.

    Raises:
        PhotoError: the file cannot be read, is no image of :data:`FORMATS`, is larger than
            ``max_pixels``, is truncated or broken.
        MachineError: the machine failed to read it.
    """
    with decoded_to(path, name, max_pixels, None) as (image, _):
        yield image


@contextmanager
def decoded_to(
    path: Path, name: str, max_pixels: int, longest_edge: int | None
) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """As :func:`decoded`; a JPEG may come out smaller, and then takes the memory of what comes out.

    JPEG is made of blocks that can be decoded to a half, a quarter or an eighth of their size.

    Args:
        longest_edge: pixels that the longest edge keeps at least; None: all.

    Returns:
        The image, and the width and height of the photo in the file.
    """
    with opened(path, name) as file:
        image = _identified(file, name)
        width, height = image.size
        limit = max_pixels
        # A progressive JPEG is held whole, however small it comes out.
        if isinstance(image, JpegImageFile) and longest_edge and not image.info.get("progressive"):
            share = longest_edge / max(width, height)
            image.draft(None, (max(1, int(width * share)), max(1, int(height * share))))
        drafted = image.size != (width, height)
        if drafted:
            limit = MOST_STREAMED_PIXELS
        if image.size[0] * image.size[1] > max_pixels or width * height > limit:
            raise PhotoError(
                name,
                f"is too large: its header says {width}x{height}, {width * height / 1e6:.0f} "
                f"megapixels, and at most {max_pixels / 1e6:g} are decoded; reduce it",
            )
        try:
            image.load()
        except Exception as error:  # decoders raise whatever broken bytes lead them to
            if _is_of_the_machine(error):
                raise
            raise PhotoError(
                name,
                f"is truncated or broken: decoding its {width}x{height} pixels from "
                f"{os.fstat(file.fileno()).st_size} bytes ended with '{error}'; copy it again",
            ) from error
        # Decoding turns a TIFF upright.
        yield image, (width, height) if drafted else image.size


@contextmanager
def identified(path: Path, name: str) -> Iterator[Image.Image]:
    """An image file of which only the header is read.

    Raises:
        PhotoError: it cannot be read, or is no image of :data:`FORMATS`.
        MachineError: the machine failed to read it.
    """
    with opened(path, name) as file:
        yield _identified(file, name)


@contextmanager
def opened(path: Path, name: str) -> Iterator[BufferedReader]:
    """A regular file, open for reading.

    Raises:
        PhotoError: it cannot be read, is empty or no regular file.
        MachineError: the machine failed to open it, or to read it in the body of the ``with``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer for ever
            raise PhotoError(
                name, "is not a file: a folder, pipe or device has its name; remove it"
            )
        if status.st_size == 0:
            raise PhotoError(name, "is empty: it holds 0 bytes; copy or export it again")
        file = path.open("rb")
    except OSError as error:
        raise_if_fault_of_the_machine(error, name)
        raise PhotoError(
            name, f"cannot be read: {error.strerror}; mend its permissions or its link"
        ) from error
    with file:
        try:
            yield file
        except OSError as error:
            raise_if_fault_of_the_machine(error, name)
            raise


def read_whole(path: Path, name: str) -> bytes:
    """The content of a file of text, as UTF-8 without a byte order mark.

    Raises:
        PhotoError: it cannot be read, or is larger than any such file: a file of holes takes no
            room on a disk and all memory when it is read.
        MachineError: the machine failed to read it.
    """
    with opened(path, name) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_TEXT:
            raise PhotoError(
                name,
                f"is too large: {size} bytes, and cameras take at most {LARGEST_TEXT >> 20} MiB; "
                "replace it",
            )
        return _unmarked(file.read())


def _unmarked(content: bytes) -> bytes:
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            if encoding == "utf-8":
                return content.removeprefix(mark)
            return content.decode(encoding, errors="replace").encode()
    return content


def _identified(file: BufferedReader, name: str) -> ImageFile.ImageFile:
    try:
        with _OPENING:
            # Pillow refuses very large headers without saying their width and height, and warns of
            # large ones; the caller checks at once, and no pixel is decoded before.
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(file, formats=(*FORMATS, *_heif_formats()))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except Exception as error:
        if _is_of_the_machine(error):
            raise
        file.seek(0)
        beginning = file.read(12)
        if is_heif(beginning) and not heif_reader():
            raise PhotoError(
                name,
                "is of a kind that is not read: HEIC, which needs a package that is not installed; "
                "install it (pip install pi-heif) or convert the photo to JPEG",
            ) from error
        if beginning.startswith(SIGNATURES):
            raise PhotoError(
                name,
                "is truncated or broken: no width and height could be read from its "
                f"{os.fstat(file.fileno()).st_size} bytes; copy it again"
                + _or_a_kind_of_tiff(beginning),
            ) from error
        raise PhotoError(
            name,
            "is not an image: no JPEG, PNG, WebP, TIFF or AVIF begins with the bytes "
            f"{beginning!r}; "
            "replace or convert it",
        ) from error


def is_heif(beginning: bytes) -> bool:
    """Whether a file that begins so is a HEIC photo, whatever its name says."""
    return beginning[4:8] == b"ftyp" and beginning[8:12] in HEIF_BRANDS


@cache
def heif_reader() -> str:
    """The package that reads HEIC, with its version, registered with Pillow; empty without one."""
    for name in HEIF_READERS:
        if find_spec(name):
            import_module(name).register_heif_opener()
            return f"{name} {version(name.replace('_', '-'))}"
    return ""


def _heif_formats() -> tuple[str, ...]:
    return ("HEIF",) if heif_reader() else ()


def _or_a_kind_of_tiff(beginning: bytes) -> str:
    if not beginning.startswith((b"II*\0", b"MM\0*")):
        return ""
    return ", or, where other programs show it (as with colours of 32 bits), save it with 8 or 16"


def raise_if_fault_of_the_machine(error: OSError, name: str) -> None:
    """Turn what a retry may mend into a MachineError; return where the input is at fault."""
    if error.errno not in ERRNOS_OF_THE_INPUT:
        raise MachineError(
            f"{name} could not be read now ({error.strerror}), and a scene without it would be "
            "another scene; see to the disk or the mount, then run the scene again"
        ) from error


def _is_of_the_machine(error: Exception) -> bool:
    """Pillow's own OSErrors carry no errno, those of the operating system do."""
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno is not None
    )
