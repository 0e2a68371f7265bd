"""Training of the residual network."""

from tasks.stage import Stage

TRAIN_RESIDUAL = Stage(
    name="train",
    artefact="refiner",
    version=2,
    run="tasks.refine.residual.run:run",
    libraries=("numba", "numpy", "torch"),
)
