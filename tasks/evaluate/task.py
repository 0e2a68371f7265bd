"""Scores of every stage on held-out photos, and of cameras and depth against references."""

from tasks.stage import SceneSize, Stage

BYTES_OF_PIXEL = 15
"""The held-out photo, and the picture of each stage."""


def _bytes(scene: SceneSize) -> float:
    return scene.held_out * scene.pixels(scene.config.ingest.max_size) * BYTES_OF_PIXEL


EVALUATE = Stage(
    name="evaluate",
    artefact="evaluation",
    version=6,
    run="tasks.evaluate.run:run",
    optional=True,
    work=lambda scene: float(scene.photos * scene.config.splat.max_size**2),
    seconds=7e-7,
    size=_bytes,
)
