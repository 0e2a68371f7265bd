"""Novel views of the splat, with depth, confidence and what the photos show there."""

from tasks.stage import SceneSize, Stage

BYTES_OF_PIXEL = 39
"""Colour, depth, confidence, warped photos, and the refined view."""


def views_work(scene: SceneSize) -> float:
    """Pixels of all novel views."""
    return float(scene.config.views.count * scene.config.splat.max_size**2)


def _bytes(scene: SceneSize) -> float:
    config = scene.config
    longest = min(config.ingest.max_size, config.splat.max_size)
    return float(config.views.count * scene.pixels(longest) * BYTES_OF_PIXEL)


VIEWS = Stage(
    name="views",
    artefact="views",
    version=3,
    run="tasks.views.run:run",
    libraries=("gsplat", "numba", "numpy", "pillow", "scipy", "torch"),
    optional=True,
    work=views_work,
    seconds=1.3e-6,
    size=_bytes,
)
