"""Gaussians fitted to the training photos: the scene's splat, and an ensemble beside it."""

from tasks.stage import SceneSize, Stage

GAUSSIANS = 100_000
"""Of a common splat: densification ends there, far below what memory would hold."""

LIBRARIES = ("gsplat", "numba", "numpy", "pillow", "scipy", "torch")


def fit_work(scene: SceneSize) -> float:
    """Pixels rendered by one fit."""
    splat = scene.config.splat
    return float(splat.iterations * splat.batch * splat.max_size**2)


def splat_bytes(scene: SceneSize) -> float:
    """Bytes of one splat: 11 numbers of a Gaussian, and its harmonics."""
    return float(4 * GAUSSIANS * (11 + 3 * (scene.config.splat.sh_degree + 1) ** 2))


def _members(scene: SceneSize) -> int:
    return len(scene.config.ensemble_splats(scene.training))


SPLAT = Stage(
    name="splat",
    artefact="splat",
    version=7,
    run="tasks.splat.run:run",
    libraries=LIBRARIES,
    curve=True,
    pictured=True,
    work=fit_work,
    seconds=1e-7,
    size=splat_bytes,
)
ENSEMBLE = Stage(
    name="ensemble",
    artefact="ensemble",
    version=2,
    run="tasks.splat.run:run",
    libraries=LIBRARIES,
    needs="refine",
    optional=True,
    compared_with="splat",
    several=True,
    work=lambda scene: _members(scene) * fit_work(scene),
    seconds=8e-8,
    size=lambda scene: _members(scene) * splat_bytes(scene),
)
"""One member; a scene has as many artefacts as members."""
