"""The hub as its cache on a disk: what stands behind a branch today is not what was named."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import ROOT
from tests.support.random_models import write_controlnet, write_stable_diffusion

pytestmark = pytest.mark.slow

PINNED, MOVED = "1" * 40, "2" * 40
LOAD = """
import json, sys
from tasks.refine.config import RefineConfig
from tasks.refine.select import refiner_for
from tasks.runtime.context import Context
from tasks.runtime.trust import Trust
said = []
options = json.loads(sys.argv[1])
trust = Trust(models=frozenset(options["models"]), code=frozenset(options["code"]))
context = Context(trust=trust, progress=lambda share, doing: said.append(doing))
refiner_for(RefineConfig.model_validate({"refiner": options["refiner"]}), context=context)
print(said)
"""
PIPELINE = """
from diffusers import DiffusionPipeline

class Own(DiffusionPipeline):
    vae_scale_factor = 8

    def __init__(self, scheduler):
        super().__init__()
        self.register_modules(scheduler=scheduler)
"""


def cached(hub: Path, name: str, commit: str) -> Path:
    """The folder of a commit in a cache of the hub."""
    folder = hub / f"models--{name.replace('/', '--')}" / "snapshots" / commit
    folder.mkdir(parents=True)
    return folder


def point_main_at(hub: Path, name: str, commit: str) -> None:
    refs = hub / f"models--{name.replace('/', '--')}" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(commit)


def load(hub: Path, cwd: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "HF_HUB_CACHE": str(hub),
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": str(cwd / "modules"),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-P", "-c", LOAD, json.dumps({"models": [], "code": [], **options})],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """Two models whose branch main has moved on to what cannot be loaded."""
    made = tmp_path / "hub"
    for name in ("a/base", "a/net"):
        cached(made, name, MOVED)
        point_main_at(made, name, MOVED)
    write_stable_diffusion(cached(made, "a/base", PINNED), licence="openrail")
    write_controlnet(cached(made, "a/net", PINNED))
    return made


def test_models_and_their_cards_are_those_of_the_commit(hub: Path, tmp_path: Path) -> None:
    weights = {"model": "a/base", "revision": PINNED, "controlnets": ["a/net"]}
    weights |= {"kind": "stable_diffusion", "controlnet_revisions": [PINNED]}
    models = [f"{name}@{PINNED}" for name in ("a/base", "a/net")]
    # A folder of that name in the working folder is not the hub's model.
    (tmp_path / "here" / "a" / "base").mkdir(parents=True)
    ended = load(
        hub,
        tmp_path / "here",
        refiner={"kind": "controlnet", "weights": weights},
        models=models,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"a/base@{PINNED} is used under its own licence: openrail" in ended.stdout


def test_a_pipeline_runs_the_code_of_the_commit(hub: Path, tmp_path: Path) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    model, code = cached(hub, "a/difix", PINNED), cached(hub, "a/code", PINNED)
    DDIMScheduler().save_pretrained(model / "scheduler")
    index = {"_class_name": "Own", "scheduler": ["diffusers", "DDIMScheduler"]}
    (model / "model_index.json").write_text(json.dumps(index))
    (code / "pipeline.py").write_text(f"print('the pinned code')\n{PIPELINE}")
    (cached(hub, "a/code", MOVED) / "pipeline.py").write_text("raise SystemExit('moved')")
    point_main_at(hub, "a/code", MOVED)
    working = tmp_path / "here"
    (working / "a" / "code").mkdir(parents=True)
    (working / "a" / "code" / "pipeline.py").write_text("raise SystemExit('of the folder')")
    refiner = {"kind": "difix", "model": "a/difix", "revision": PINNED}
    refiner |= {"pipeline": "a/code", "pipeline_revision": PINNED}
    trusted = [f"{name}@{PINNED}" for name in ("a/difix", "a/code")]

    ended = load(hub, working, refiner=refiner, code=trusted)

    assert ended.returncode == 0, ended.stderr
    assert "the pinned code" in ended.stdout
    ended = load(hub, working, refiner=refiner, models=trusted)
    assert ended.returncode != 0
    assert "the pinned code" not in ended.stdout
