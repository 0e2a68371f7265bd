"""Cameras and sparse points, by structure from motion; photos without lens distortion."""

from tasks.stage import SceneSize, Stage


def _bytes(scene: SceneSize) -> float:
    return 3 * scene.photos * scene.pixels(scene.config.ingest.max_size)


SFM = Stage(
    name="sfm",
    artefact="sparse",
    version=6,
    run="tasks.sfm.run:run",
    libraries=("numpy", "pillow", "pycolmap"),
    depends_on_device=False,
    work=lambda scene: scene.photos,
    seconds=0.6,
    size=_bytes,
)
