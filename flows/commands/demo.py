"""The demo's dataset: three scenes rendered here, so that nothing has to be downloaded."""

import sys
from pathlib import Path
from typing import Any

import yaml

from flows.config import SceneConfig
from tasks.distil.config import DistilConfig
from tasks.procedural.scenes import ProceduralScene, facade, interior, orbit
from tasks.procedural.write import write_scene
from tasks.runtime.progress import progress_line
from tasks.splat.config import SplatConfig
from tasks.views.config import ViewsConfig

ITERATIONS = 1200
FEW_PHOTOS = {"facade": (1, 4, 7, 9, 12, 15, 17, 20, 22), "interior": (1, 6, 12, 18, 23)}
"""Indices of those to train on, where it is not 7 of 8: what none of them shows is repaired."""


def demo_config() -> SceneConfig:
    """Of a size that two cores take through in a few minutes."""
    return SceneConfig(
        splat=SplatConfig(iterations=ITERATIONS, max_size=480),
        views=ViewsConfig(count=12),
        distil=DistilConfig(iterations=600),
    )


def render_demo(folder: Path) -> Path:
    """Render the scenes that are not there yet; the dataset's folder."""
    dataset = folder / "photos"
    entries = [_rendered(make(), dataset) for make in (interior, orbit, facade)]
    (dataset / "dataset.yaml").write_text(yaml.safe_dump({"scenes": entries}))
    return dataset


def _rendered(scene: ProceduralScene, dataset: Path) -> dict[str, Any]:
    """Write one scene, with its progress shown; its entry in the dataset's manifest."""
    show = progress_line(scene.name)
    print(f"rendering {scene.name} ...", file=sys.stderr, flush=True)
    write_scene(
        scene,
        dataset / scene.name,
        lambda done, total: show(done / total, f"{done} of {total} photos"),
    )
    entry: dict[str, Any] = {"name": scene.name, "folder": scene.name}
    if scene.name in FEW_PHOTOS:
        photos = [scene.cameras.names[index] for index in FEW_PHOTOS[scene.name]]
        entry["config"] = {"split": {"kind": "train_on", "photos": photos}}
    return entry
