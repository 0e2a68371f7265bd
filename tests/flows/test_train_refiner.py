"""``unseen train-refiner`` as people run it, on tiny scenes."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from flows.train_refiner import with_given
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.procedural.scenes import orbit
from tasks.procedural.write import write_scene
from tasks.refine.diffusion.small import read_small
from tasks.refine.residual.checkpoint import read_checkpoint
from tasks.refine.training.pairs.artefact import StoredPairs
from tasks.sfm.config import SfmConfig
from tests.conftest import ROOT
from tests.flows.conftest import Command

CONFIG = {
    "sfm": {"threads": 1, "features": {"kind": "sift", "max_features": 2048}},
    "pairs": {
        "subsets": 1,
        "sizes": [4],
        "runs": 1.0,
        "shares": [1.0],
        "noisy": 0,
        "views": 2,
        "min_seen": 0.1,
        "splat": {"iterations": 60, "max_size": 120},
    },
    "validation": {"scenes": ["back"]},
    "train": {
        "length": {"kind": "steps", "count": 6},
        "batch": 2,
        "crop": 32,
        "validations": 2,
        "network": {"widths": [8, 8]},
    },
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, photographed: Path) -> Path:
    """Two scenes with cameras, and one that has too few photos."""
    folder = tmp_path_factory.mktemp("scenes")
    shutil.copytree(photographed, folder / "front")
    write_scene(orbit().excerpt("back", range(0, 7), (240, 180)), folder / "back", lambda *_: None)
    (folder / "few").mkdir()
    for photo in sorted((photographed / "images").iterdir())[:1]:
        shutil.copy(photo, folder / "few")
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "tiny.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    return file


def stages_of(store: Path) -> dict[tuple[str, str], tuple[str, bool]]:
    """Digest of each stage of each scene, and whether it was recalled, in the last run."""
    rows = read_table(Store(root=str(store)), "stages")
    rows = rows[rows["run"] == rows.loc[rows["written_at"].idxmax(), "run"]]
    return {
        (row["scene"], row["stage"]): (row["digest"], bool(row["cached"]))
        for _, row in rows.iterrows()
    }


def digests_of(stages: dict[tuple[str, str], tuple[str, bool]]) -> dict[tuple[str, str], str]:
    """Of those that gave something."""
    return {key: digest for key, (digest, _) in stages.items() if digest}


def state_of_training(store: Path) -> str:
    """As the last row says."""
    rows = read_table(Store(root=str(store)), "scenes")
    rows = rows[rows["scene"] == "refiner"]
    return rows.loc[rows["written_at"].idxmax(), "state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A command that ended, and where it wrote."""

    words: tuple[str | Path, ...]
    store: Path
    out: Path
    said: str
    digests: dict[tuple[str, str], str]
    """Of its stages."""


@pytest.fixture(scope="module")
def trained(
    unseen: Command,
    api: str,
    scenes: Path,
    config: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Training:
    root = tmp_path_factory.mktemp("trained")
    store, out = root / "store", root / "weights" / "tiny.safetensors"
    words = ("train-refiner", scenes, "--out", out, "--config", config, "--store", store)
    said = unseen(*words)
    assert said.returncode == 0, said.stderr
    return Training(
        words=words,
        store=store,
        out=out,
        said=said.stdout + said.stderr,
        digests=digests_of(stages_of(store)),
    )


@pytest.mark.slow
def test_training_on_scenes_writes_weights_and_a_card(trained: Training) -> None:
    assert f"wrote {trained.out}" in trained.said
    assert "few is left out" in trained.said
    read_checkpoint(trained.out)

    opened = Store(root=str(trained.store))
    rows = read_table(opened, "scenes").set_index("scene")
    assert rows["state"].to_dict() == {
        "front": "completed",
        "back": "completed",
        "few": "failed",
        "refiner": "completed",
    }
    (pairs_of_front,) = (trained.store / "scenes" / "front" / "pairs").iterdir()
    digest = trained.digests["front", "pairs"]
    pairs = StoredPairs([ArrayHandle(uri=str(pairs_of_front), kind="pairs", digest=digest)])
    assert pairs.scenes == ("front",) * 2
    assert pairs[0].views.render.shape == (1, 90, 120, 3)
    curve = read_table(opened, "training")
    assert curve["stage"].unique().tolist() == ["train"]
    assert curve["loss"].notna().any()
    assert curve["held_out_gain_db"].notna().sum() == 2

    card = trained.out.with_suffix(".md").read_text()
    assert re.search(r"\| front \| training \| 8 \| 2 \|", card)
    assert re.search(r"\| back \| validation \| 7 \| \d \|", card)
    assert re.search(r"- few: .*1 photo ", card)
    assert "--config below.yaml" in card


@pytest.mark.slow
def test_a_second_run_computes_nothing(unseen: Command, trained: Training) -> None:
    weights = trained.out.read_bytes()
    trained.out.unlink()
    again = unseen(*trained.words)
    assert again.returncode == 0, again.stderr
    assert trained.out.read_bytes() == weights
    second = stages_of(trained.store)
    assert digests_of(second) == trained.digests
    assert all(cached for key, (_, cached) in second.items() if key[0] != "few")


@pytest.mark.slow
def test_the_kind_in_the_config_selects_the_refiner_to_train(
    unseen: Command, trained: Training, scenes: Path, tmp_path: Path
) -> None:
    config, out = tmp_path / "controlnet.yaml", tmp_path / "tiny.safetensors"
    train = {
        "kind": "controlnet",
        "length": {"kind": "steps", "count": 3},
        "batch": 2,
        "crop": 32,
        "shape": {"widths": [8, 16]},
    }
    config.write_text(yaml.safe_dump(CONFIG | {"train": train}))

    said = unseen(
        *("train-refiner", scenes, "--out", out, "--config", config),
        *("--licence", "CC-BY-4.0", "--store", trained.store),
    )

    assert said.returncode == 0, said.stderr
    assert read_small(out).shape.widths == (8, 16)
    with safe_open(out, framework="pt") as opened:
        described = json.loads(opened.metadata()["unseen"])
    assert described["licence"] == "CC-BY-4.0"
    assert len(described["data"]) == 64
    card = out.with_suffix(".md").read_text()
    assert "tasks/refine/diffusion/controlnet.safetensors" in card
    assert sha256(out.read_bytes()).hexdigest() in card
    assert "--licence CC-BY-4.0" in card
    stages = stages_of(trained.store)
    assert not stages["refiner", "train"][1]
    assert all(cached for (scene, _), (_, cached) in stages.items() if scene in ("front", "back"))


@pytest.mark.slow
def test_a_killed_and_resumed_training_ends_with_the_same_bits(
    unseen: Command,
    command_environment: dict[str, str],
    trained: Training,
    scenes: Path,
    config: Path,
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    words = ["train-refiner", str(scenes), "--out", str(tmp_path / "tiny.safetensors")]
    words += ["--config", str(config), "--store", str(store)]
    with subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", *words],
        env=command_environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 300
        while not list(store.glob("scenes/*/pairs/*/manifest.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not list(store.glob("scenes/*/refiner"))
    assert state_of_training(store) == "started"

    said = unseen(*words)
    assert said.returncode == 0, said.stderr
    assert state_of_training(store) == "completed"
    assert digests_of(stages_of(store)) == trained.digests


@pytest.mark.parametrize(
    ("came", "asked", "expected"),
    [
        ("sidecar", "auto", "given"),
        (None, "auto", "auto"),
        ("sidecar", "estimate", "estimate"),
        (None, "given", "given"),
    ],
)
def test_cameras_given_with_the_photos_are_used(
    tmp_path: Path, came: str | None, asked: str, expected: str
) -> None:
    store = Store(root=str(tmp_path))
    photos = store.commit("hall", "photos", [], {"reference_kind": came})
    config = SfmConfig.model_validate({"poses": asked})
    assert with_given(config, photos).poses == expected
