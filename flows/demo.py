"""The demo's dataset: three scenes rendered here, so that nothing has to be downloaded."""

import sys
from pathlib import Path
from typing import Any

import yaml

from flows.config import SceneConfig
from tasks.distil.config import DistilConfig
from tasks.procedural.scenes import ProceduralScene, facade, interior, orbit
from tasks.procedural.write import write_scene
from tasks.progress_line import progress_line
from tasks.splat.config import SplatConfig
from tasks.views.config import ViewsConfig

ITERATIONS = 1200


def demo_config() -> SceneConfig:
    """Of a size that two cores take through in a few minutes."""
    return SceneConfig(
        splat=SplatConfig(iterations=ITERATIONS, max_size=480),
        views=ViewsConfig(count=12),
        distil=DistilConfig(iterations=300),
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
    if scene.training_names is not None:
        split = {"kind": "train_on", "photos": list(scene.training_names)}
        entry["config"] = {"split": split}
    return entry
