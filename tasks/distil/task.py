"""The splat's optimisation continued: with photos alone (control), and with refined views."""

from tasks.splat.task import splat_bytes
from tasks.stage import SceneSize, Stage

LIBRARIES = ("gsplat", "numba", "numpy", "pillow", "torch")


def _work(scene: SceneSize) -> float:
    """Pixels rendered by one continuation."""
    if _is_skipped(scene):
        return 0.0
    return float(scene.config.distil.iterations * scene.config.splat.max_size**2)


def _bytes(scene: SceneSize) -> float:
    return 0.0 if _is_skipped(scene) else splat_bytes(scene)


def _is_skipped(scene: SceneSize) -> bool:
    return bool(scene.training > scene.config.distil.max_training_photos)


CONTROL = Stage(
    name="control",
    artefact="control",
    version=4,
    run="tasks.distil.run:run_control",
    libraries=LIBRARIES,
    needs="distil",
    compared_with="splat",
    curve=True,
    work=_work,
    seconds=1.4e-7,
    size=_bytes,
)
DISTIL = Stage(
    name="distil",
    artefact="distilled",
    version=7,
    run="tasks.distil.run:run",
    libraries=LIBRARIES,
    needs="refine",
    optional=True,
    compared_with="control",
    curve=True,
    pictured=True,
    work=_work,
    seconds=1.4e-7,
    size=_bytes,
)
