"""Photos of a scene, decoded, upright and checked."""

from tasks.stage import SceneSize, Stage


def _bytes(scene: SceneSize) -> float:
    return 3 * scene.photos * scene.pixels(scene.config.ingest.max_size)


INGEST = Stage(
    name="ingest",
    artefact="photos",
    version=5,
    run="tasks.ingest.run:run",
    libraries=("av", "numpy", "pillow"),
    depends_on_device=False,
    work=lambda scene: scene.photos,
    seconds=0.03,
    size=_bytes,
)
