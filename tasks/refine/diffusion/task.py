"""Training of the small diffusion model and its ControlNet."""

from tasks.stage import Stage

TRAIN_CONTROLNET = Stage(
    name="train",
    artefact="refiner",
    version=2,
    run="tasks.refine.diffusion.run:run",
    libraries=("diffusers", "numba", "numpy", "torch", "transformers"),
    variant="controlnet",
)
