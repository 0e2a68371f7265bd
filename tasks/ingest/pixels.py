"""Decoded pixels as 8-bit RGB, and what is transparent in them."""

from typing import Literal

import numpy as np
from jaxtyping import Bool
from PIL import Image

from tasks.ingest.decode import PhotoError
from tasks.ingest.levels import Levels

Background = Literal["black", "white"]

FAINT_LEVELS = 8
"""Of 255: sensor noise and JPEG stay below it on a covered or blinded lens."""

OUTLIER_SHARE = 1e-3
"""Share of the pixels at either end (hot pixels, a date stamp) that does not make a picture."""

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
"""Pillow's modes that have a defined way to 8-bit RGB; wider ones are converted by their levels."""

BITS_TAG, PLANES_TAG = 258, 284
"""Of TIFF: bits of a sample, and whether each colour has a plane of its own."""

FEWEST_LEVELS = 16
"""Of 255: 16-bit colours that reach no more hold 12 bits at most."""

MASK_SHARE = 1e-3
"""Share of a photo that is cut out of it where its transparency is a mask."""


def rgb(image: Image.Image, name: str, background: Background, levels: Levels) -> Image.Image:
    """A decoded image as 8-bit RGB; what is transparent becomes the background, in proportion.

    Args:
        levels: of grey photos of more than 8 bits.

    Raises:
        PhotoError: it has pixels of which nobody knows what is black and what white.
    """
    if levels.of(image):
        return Image.fromarray(levels.applied(image)).convert("RGB")
    if image.mode not in MODES:
        raise PhotoError(
            name,
            f"has pixels of an unknown scale: mode {image.mode} of Pillow, which says neither "
            "where black lies nor where white; convert it to 8 or 16 bits",
        )
    _check_wide_colours(image, name)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        behind = Image.new("RGB", image.size, background)
        behind.paste(colours, mask=colours.getchannel("A"))
        return behind
    return image.convert("RGB")


def opaque_where_cut_out(
    image: Image.Image, wanted: bool | None
) -> tuple[Bool[np.ndarray, "h w"] | None, bool]:
    """The mask that a decoded image's transparency is, and whether any of it is transparent.

    Args:
        wanted: whether transparency is a mask; None: where some pixels are wholly transparent and
            some not at all, so that something is cut out of the photo.

    Returns:
        The mask is None where transparency is none.
    """
    if not image.has_transparency_data:
        return None, False
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    transparent = bool((alpha < 255).any())
    if wanted is None:
        wanted = float((alpha == 0).mean()) > MASK_SHARE and bool((alpha == 255).any())
    return (alpha == 255 if wanted else None), transparent


def check_shows_something(image: Image.Image, name: str) -> None:
    """Refuse black and blank photos by the range of their grey levels, outliers apart.

    Raises:
        PhotoError: it shows nothing.
    """
    low, high = _range(image)
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


def _range(image: Image.Image) -> tuple[int, int]:
    counts = np.array(image.convert("L").histogram()).cumsum()
    low, high = np.searchsorted(
        counts, [OUTLIER_SHARE * counts[-1], (1.0 - OUTLIER_SHARE) * counts[-1]], side="left"
    )
    return int(low), int(high)


def _check_wide_colours(image: Image.Image, name: str) -> None:
    """Pillow gives the upper 8 bits of 16-bit colours, and of planes the wrong ones."""
    tags = getattr(image, "tag_v2", {})
    bits = max(tags.get(BITS_TAG, (8,)))
    if bits <= 8:
        return
    if tags.get(PLANES_TAG) == 2:
        raise PhotoError(
            name,
            f"has pixels of a kind that is not read: planes of {bits} bits for each colour; save "
            "it with interleaved colours (chunky), or with 8 bits",
        )
    _, high = _range(image)
    if high <= FEWEST_LEVELS:
        raise PhotoError(
            name,
            f"holds few bits in 16: its brightest pixels reach {high} of 255, as colours of 12 "
            "bits or less that were not scaled to 16; multiply them, or save it with 8 bits",
        )
