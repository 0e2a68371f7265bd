"""Cameras and sparse points, by structure from motion; photos without lens distortion."""

from tasks.sfm.pairs.config import expected_pairs
from tasks.stage import SceneSize, Stage

PAIRS_FOR_A_PHOTO = 15
"""Pairs that take as long to match as a photo takes without them."""


def _work(scene: SceneSize) -> float:
    pairs = expected_pairs(scene.config.sfm.pairs, scene.photos) if scene.photos else 0.0
    return scene.photos + pairs / PAIRS_FOR_A_PHOTO


def _bytes(scene: SceneSize) -> float:
    return 3 * scene.photos * scene.pixels(scene.config.ingest.max_size)


SFM = Stage(
    name="sfm",
    artefact="sparse",
    version=13,
    run="tasks.sfm.run:run",
    libraries=("numpy", "pillow", "pycolmap", "scipy", "torch"),
    work=_work,
    seconds=0.5,
    size=_bytes,
)
