"""The file that a refiner's weights come from, found without what reads it."""

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.containment import is_inside
from tasks.refine.config import ControlNet, RefineConfig, Residual
from tasks.refine.diffusion.config import SmallModel
from tasks.source import Source

SHIPPED = Path(__file__).parent / "residual" / "residual.safetensors"
SHIPPED_CONTROLNET = Path(__file__).parent / "diffusion" / "controlnet.safetensors"


def find_weights(folder: Path, config: RefineConfig, roots: Sequence[Path] = ()) -> Source | None:
    """The weights of a refiner, by their content; None for one that is not trained.

    None too for models of others: they are known by their names alone, so a folder of one whose
    content changes should change its name.

    Args:
        folder: of the scene, or its video.
        roots: folders that the file may lie in beside the scene's own.

    Raises:
        InputError: the file cannot be read, or lies elsewhere.
    """
    refiner = config.refiner
    if isinstance(refiner, Residual):
        named, option, selected = refiner.weights, "refine.refiner.weights", SHIPPED
    elif isinstance(refiner, ControlNet) and isinstance(refiner.weights, SmallModel):
        named, option = refiner.weights.file, "refine.refiner.weights.file"
        selected = SHIPPED_CONTROLNET
    else:
        return None
    if named is None:
        advice = (
            f"they are not bundled with this version; name a file in {option}, or set "
            "refine.refiner.kind to 'reproject', which needs none"
        )
        return _read(selected, advice)
    place = folder if folder.is_dir() else folder.parent
    path = place / named
    if not is_inside(path, (place, *roots)):
        raise InputError(
            f"'{named}', which {option} names, leads out of the scene's "
            f"folder '{place}', so it is not read; copy it there, or name the folder that it lies "
            "in in UNSEEN_PHOTO_ROOTS"
        )
    return _read(path, f"put them there, or mend {option}")


def _read(path: Path, advice: str) -> Source:
    try:
        with path.open("rb") as file:
            return Source(folder=str(path), digest=file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise InputError(
            f"the refiner's weights '{path}' cannot be read ({error.strerror or error}): {advice}"
        ) from error
