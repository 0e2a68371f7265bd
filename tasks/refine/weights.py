"""The file that a refiner's weights come from, found without what reads it."""

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.containment import is_inside
from tasks.refine.config import ControlNet, RefineConfig, Residual
from tasks.refine.diffusion.config import SmallModel
from tasks.refine.third_party import check_trusted, digest_of_folders, third_parties
from tasks.runtime.trust import Trust
from tasks.source import Source

SHIPPED = Path(__file__).parent / "residual" / "residual.safetensors"
SHIPPED_CONTROLNET = Path(__file__).parent / "diffusion" / "controlnet.safetensors"


def find_weights(
    folder: Path,
    config: RefineConfig,
    roots: Sequence[Path] = (),
    trust: Trust = Trust(),
) -> Source | None:
    """The weights of a refiner, by their content; None for one that is not trained.

    Models of others count by the content of their folders, and those of the hub by their commits,
    which the config holds: None where there are no folders.

    Args:
        folder: of the scene, or its video.
        roots: folders that the file may lie in beside the scene's own.
        trust: in models of others.

    Raises:
        InputError: the file cannot be read, lies elsewhere, or a model is not trusted.
    """
    refiner = config.refiner
    if isinstance(refiner, Residual):
        named, option, selected = refiner.weights, "refine.refiner.weights", SHIPPED
    elif isinstance(refiner, ControlNet) and isinstance(refiner.weights, SmallModel):
        named, option = refiner.weights.file, "refine.refiner.weights.file"
        selected = SHIPPED_CONTROLNET
    else:
        models = third_parties(refiner)
        check_trusted(models, trust)
        digest = digest_of_folders(models)
        return None if digest is None else Source(folder=models[0].name, digest=digest)
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
        return Source.of_file(path)
    except OSError as error:
        raise InputError(
            f"the refiner's weights '{path}' cannot be read ({error.strerror or error}): {advice}"
        ) from error
