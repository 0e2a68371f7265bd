"""Scores of every stage on held-out photos, and of cameras and depth against references."""

from tasks.stage import SceneSize, Stage

BYTES_OF_PIXEL = 15
"""The held-out photo, and the picture of each stage."""


def _bytes(scene: SceneSize) -> float:
    return scene.held_out * scene.pixels(scene.config.ingest.max_size) * BYTES_OF_PIXEL


PERCEPTUAL_WORK = {"alex": 30, "vgg": 110, "none": 0}
"""Of the pictures of a held-out photo, in units of a render and its scores."""


def _work(scene: SceneSize) -> float:
    pictures = scene.photos + scene.held_out * PERCEPTUAL_WORK[scene.config.evaluate.perceptual]
    return float(pictures * scene.config.splat.max_size**2)


EVALUATE = Stage(
    name="evaluate",
    artefact="evaluation",
    version=9,
    run="tasks.evaluate.run:run",
    libraries=("diffusers", "gsplat", "numba", "numpy", "pillow", "scipy", "torch", "transformers"),
    optional=True,
    work=_work,
    seconds=7e-7,
    size=_bytes,
)
