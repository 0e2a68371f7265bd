"""The file that a refiner's weights come from, found without what reads it."""

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.confine import is_inside
from tasks.ingest.source import Source
from tasks.refine.config import RefineConfig, Residual

SHIPPED = Path(__file__).parent / "residual" / "residual.safetensors"


def find_weights(folder: Path, config: RefineConfig, roots: Sequence[Path] = ()) -> Source | None:
    """The weights that a refiner needs, by their content; None where it has learnt nothing.

    Args:
        folder: of the scene, or its video.
        roots: folders that the file may lie in beside the scene's own.

    Raises:
        InputError: the file cannot be read, or lies elsewhere.
    """
    refiner = config.refiner
    if not isinstance(refiner, Residual):
        return None
    if refiner.weights is None:
        advice = (
            "they do not ship with this version; name a file in refine.refiner.weights, or set "
            "refine.refiner.kind to 'reproject', which needs none"
        )
        return _read(SHIPPED, advice)
    place = folder if folder.is_dir() else folder.parent
    path = place / refiner.weights
    if not is_inside(path, (place, *roots)):
        raise InputError(
            f"'{refiner.weights}', which refine.refiner.weights names, leads out of the scene's "
            f"folder '{place}', so it is not read; copy it there, or name the folder that it lies "
            "in in UNSEEN_PHOTO_ROOTS"
        )
    return _read(path, "put them there, or mend refine.refiner.weights")


def _read(path: Path, advice: str) -> Source:
    try:
        with path.open("rb") as file:
            return Source(folder=str(path), digest=file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise InputError(
            f"the refiner's weights '{path}' cannot be read ({error.strerror or error}): {advice}"
        ) from error
