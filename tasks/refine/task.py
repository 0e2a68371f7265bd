"""Novel views refined by a refiner: one by one, or drawn jointly.

The two are stages of one name. A view refined by itself depends neither on the splat nor on how
that was fitted, so the key of such views does not hold them.
"""

from dataclasses import replace

from tasks.stage import SceneSize, Stage
from tasks.views.task import views_work


def _work(scene: SceneSize) -> float:
    """Pixels that the refiner takes: most take one pass over what each splat shows."""
    config = scene.config
    joint = config.refine.joint
    passes = (
        joint.strength * joint.steps if joint else 1 + len(config.ensemble_splats(scene.training))
    )
    return views_work(scene) * float(passes)


REFINE = Stage(
    name="refine",
    artefact="refined",
    version=6,
    run="tasks.refine.run:run",
    libraries=("diffusers", "gsplat", "numba", "numpy", "pillow", "scipy", "torch", "transformers"),
    needs="views",
    optional=True,
    compared_with="splat",
    pictured=True,
    work=_work,
    seconds=9e-7,
)
REFINE_JOINTLY = replace(
    REFINE,
    variant="joint",
    version=2,
    run="tasks.refine.run:run_joint",
    libraries=("diffusers", "gsplat", "numba", "numpy", "pillow", "torch", "transformers"),
)
