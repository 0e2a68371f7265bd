"""Pairs that a refiner learns from, mined from one scene."""

from tasks.stage import Stage

PAIRS = Stage(
    name="pairs",
    artefact="pairs",
    version=3,
    run="tasks.refine.training.pairs.run:run",
    libraries=("gsplat", "numba", "numpy", "pillow", "scipy", "torch"),
)
