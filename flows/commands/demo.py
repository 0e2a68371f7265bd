"""Synthetic datasets, rendered here so that nothing is downloaded: the demo's, and random ones."""

import sys
from pathlib import Path
from typing import Any

import yaml

from flows.config import SceneConfig
from tasks.distil.config import DistilConfig
from tasks.procedural.scenes import ProceduralScene, facade, interior, orbit
from tasks.procedural.write import write_scene
from tasks.procedural.write_random import write_random_scenes
from tasks.runtime.progress import progress_line
from tasks.splat.config import SplatConfig
from tasks.views.config import ViewsConfig

ITERATIONS = 1200
TRAINING_PHOTOS = {"facade": (1, 4, 7, 9, 12, 15, 17, 20, 22), "interior": (1, 6, 12, 18, 23)}
"""Indices of the training photos of sparsely photographed scenes; of others, 7 of 8 train."""


def demo_config() -> SceneConfig:
    """A config that two cores complete in a few minutes."""
    return SceneConfig(
        splat=SplatConfig(iterations=ITERATIONS, max_size=480),
        views=ViewsConfig(count=12),
        distil=DistilConfig(iterations=600),
    )


def render_demo(folder: Path) -> Path:
    """Render the missing scenes of the demo; the dataset's folder."""
    dataset = folder / "photos"
    entries = [_rendered(make(), dataset) for make in (interior, orbit, facade)]
    (dataset / "dataset.yaml").write_text(yaml.safe_dump({"scenes": entries}))
    return dataset


def render_random_scenes(
    folder: Path, seeds: range, *, long_side: int, effects: bool
) -> tuple[Path, ...]:
    """Render the missing scenes of a random dataset; the folders of all.

    Args:
        seeds: one per scene.
        long_side: of a photo, px.
        effects: see :func:`tasks.procedural.write_random.write_random_scenes`.
    """
    show = progress_line("random scenes")
    started: dict[str, None] = {}

    def progress(scene: str, photos: int, total: int) -> None:
        started.setdefault(scene)
        share = (len(started) - 1 + photos / total) / len(seeds)
        show(share, f"{scene}, {photos} of {total} photos")

    return write_random_scenes(
        folder, seeds, long_side=long_side, effects=effects, progress=progress
    )


def _rendered(scene: ProceduralScene, dataset: Path) -> dict[str, Any]:
    """Write one scene; its entry in the dataset's manifest."""
    show = progress_line(scene.name)
    print(f"rendering {scene.name} ...", file=sys.stderr, flush=True)
    write_scene(
        scene,
        dataset / scene.name,
        lambda done, total: show(done / total, f"{done} of {total} photos"),
    )
    entry: dict[str, Any] = {"name": scene.name, "folder": scene.name}
    if scene.name in TRAINING_PHOTOS:
        photos = [scene.cameras.names[index] for index in TRAINING_PHOTOS[scene.name]]
        entry["config"] = {"split": {"kind": "train_on", "photos": photos}}
    return entry
