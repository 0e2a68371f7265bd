"""The demo's dataset: three scenes rendered here, so that nothing has to be downloaded."""

import sys
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from flows.config import SceneConfig
from tasks.ingest.config import IngestConfig
from tasks.procedural.scenes import SCENES
from tasks.procedural.write import write_scene
from tasks.splat.config import SplatConfig

ITERATIONS = 1200


def demo_config() -> SceneConfig:
    """Of a size that two cores take through in a few minutes."""
    return SceneConfig(
        ingest=IngestConfig(), splat=SplatConfig(iterations=ITERATIONS, max_size=480)
    )


def render_demo(folder: Path) -> Path:
    """Render the scenes that are not there yet; the dataset's folder."""
    dataset = folder / "photos"
    entries = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        for make in SCENES:
            scene = make()
            bar = bars.add_task(f"rendering {scene.name}", total=1.0)
            write_scene(
                scene,
                dataset / scene.name,
                lambda share, doing, bar=bar: bars.update(bar, completed=share),
            )
            bars.update(bar, completed=1.0)
            entry: dict[str, object] = {"name": scene.name, "folder": scene.name}
            if scene.training_names is not None:
                split = {"kind": "train_on", "photos": list(scene.training_names)}
                entry["config"] = {"split": split}
            entries.append(entry)
            if not sys.stderr.isatty():
                print(f"rendered {scene.name}", file=sys.stderr, flush=True)
    (dataset / "dataset.yaml").write_text(yaml.safe_dump({"scenes": entries}))
    return dataset
