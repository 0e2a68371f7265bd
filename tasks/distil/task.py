"""The splat's optimisation continued: with photos alone (control), and with refined views."""

from tasks.splat.task import splat_bytes
from tasks.stage import SceneSize, Stage


def _work(scene: SceneSize) -> float:
    return float(scene.config.distil.iterations * scene.config.splat.max_size**2)


CONTROL = Stage(
    name="control",
    artefact="control",
    version=3,
    run="tasks.distil.run:run_control",
    needs="distil",
    compared_with="splat",
    curve=True,
    work=_work,
    seconds=1.4e-7,
    size=splat_bytes,
)
DISTIL = Stage(
    name="distil",
    artefact="distilled",
    version=6,
    run="tasks.distil.run:run",
    needs="refine",
    optional=True,
    compared_with="control",
    curve=True,
    pictured=True,
    work=_work,
    seconds=1.4e-7,
    size=splat_bytes,
)
