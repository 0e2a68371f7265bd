"""New code of a stage needs a new version; its libraries are declared and part of its key."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from docs.stages import (
    ROOT,
    Sources,
    all_stages,
    changed_without_version,
    code_of,
    read_record,
    record,
)
from tasks import caching
from tasks.caching import installed_version, stage_key
from tasks.splat.task import SPLAT

DISTRIBUTIONS = {"PIL": "pillow", "llvmlite": "numba"}  # numba takes one llvmlite only
OF_NO_EFFECT = {"huggingface_hub", "jaxtyping", "pydantic", "safetensors", "storage", "yaml"}
"""Annotations, options, and files that are read whole or not at all."""

RUN = """
from package.parts import second, unused
from package.values import SCALE as FACTOR

def run(x: int) -> int:
    '''Doubled.'''
    from package.late import third

    if x < 0:
        raise ValueError(f"{x} is negative")
    return FACTOR * second(third(x))
"""
PARTS = """
import numpy as np
import torch

def second(x):
    return np.abs(x)

def unused(x):
    return torch.abs(x)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    for name, content in {
        "__init__": "",
        "run": RUN,
        "parts": PARTS,
        "values": "SCALE = 2\nOTHER = 3\n",
        "late": "def third(x):\n    return x + 1\n",
    }.items():
        (folder / f"{name}.py").write_text(content)
    return folder


def digest(package: Path) -> str:
    return Sources(package.parent, package.name).code("package.run:run").digest()


def edit(module: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(package: Path) -> None:
        file = package / f"{module}.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return apply


@pytest.mark.parametrize(
    "change",
    [
        edit("run", "FACTOR * second", "second"),
        edit("parts", "np.abs(x)", "np.abs(x) + 1"),
        edit("values", "SCALE = 2", "SCALE = 4"),
        edit("late", "x + 1", "x - 1"),
        edit("parts", "def second", "np.seterr(all='raise')\n\ndef second"),
        edit("run", "x < 0", "x < 1"),
    ],
    ids=["own", "imported", "constant", "imported late", "on import", "condition"],
)
def test_code_that_a_stage_runs_changes_its_digest(
    package: Path, change: Callable[[Path], None]
) -> None:
    before = digest(package)
    change(package)
    assert digest(package) != before


@pytest.mark.parametrize(
    "change",
    [
        edit("run", "Doubled.", "Twice as much."),
        edit("run", "    if x", "    # Beware.\n    if x"),
        edit("run", "FACTOR * second(third(x))", "(FACTOR\n        * second(third(x)))"),
        edit("run", "is negative", "is below 0"),
        edit("run", "(x: int) -> int", "(x: float) -> float"),
        edit("parts", "torch.abs(x)", "torch.abs(x) + 1"),
        edit("values", "OTHER = 3", "OTHER = 4"),
    ],
    ids=["docstring", "comment", "formatting", "message", "annotation", "not used", "constant"],
)
def test_what_no_result_depends_on_leaves_the_digest(
    package: Path, change: Callable[[Path], None]
) -> None:
    before = digest(package)
    change(package)
    assert digest(package) == before


def test_libraries_are_those_of_the_code_that_runs(package: Path) -> None:
    code = Sources(package.parent, package.name).code("package.run:run")
    assert code.libraries == {"numpy"}


def test_every_stage_runs_what_its_version_is_recorded_with() -> None:
    before, now = read_record(), record()
    changed = changed_without_version(before, now)
    assert not changed, "\n".join(changed.values())
    assert now == before, "stages are new, gone or of new versions: run `make stages`"


def test_the_sentence_names_what_changed_and_what_to_do() -> None:
    now = record()
    before = json.loads(json.dumps(now))
    assert changed_without_version(before, now) == {}
    before["stages"]["splat"]["sources"] = "0"
    before["modules"]["tasks.splat.fit"] = "0"
    before["modules"]["tasks.ingest.exif"] = "0"
    (sentence,) = changed_without_version(before, now).values()
    assert "(changed: tasks.splat.fit)" in sentence
    assert "raise 'version' in tasks/splat/task.py and run `make stages`" in sentence
    before["stages"]["splat"]["version"] -= 1
    assert changed_without_version(before, now) == {}


def test_a_child_process_and_late_imports_are_part_of_a_stage() -> None:
    stages = {stage.key: stage for _, stage in all_stages()}
    assert {"tasks.sfm.worker"} <= {name for name, _ in code_of(stages["sfm"]).digests}
    refined = {name for name, _ in code_of(stages["refine"]).digests}
    assert {"tasks.refine.diffusion.difix", "tasks.refine.residual.network"} <= refined
    fitted = {name for name, _ in code_of(stages["splat"]).digests}
    assert {"tasks.splat.rasterise.cuda", "tasks.splat.rasterise.cpu.blend"} <= fitted


def test_each_stage_declares_the_libraries_that_it_uses() -> None:
    wrong = {}
    for _, stage in all_stages():
        used = code_of(stage).libraries - OF_NO_EFFECT - set(sys.stdlib_module_names)
        needed = {DISTRIBUTIONS.get(name, name) for name in used}
        if "diffusers" in needed:
            needed.add("transformers")  # its pipelines run the text encoders from there
        if needed != set(stage.libraries):
            wrong[stage.key] = f"declares {sorted(stage.libraries)}, uses {sorted(needed)}"
    assert wrong == {}


def test_no_data_file_is_used_but_weights_which_are_inputs() -> None:
    kinds = {
        file.suffix
        for file in (ROOT / "tasks").glob("**/*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert kinds == {".py", ".safetensors", ".md"}


def test_another_version_of_a_library_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def key() -> str:
        installed_version.cache_clear()
        return stage_key(SPLAT, "hall", {}, "cpu")

    before = key()
    real = caching.version
    with monkeypatch.context() as patch:
        patch.setattr(caching, "version", lambda name: {"numba": "9.9"}.get(name) or real(name))
        assert key() != before
    with monkeypatch.context() as patch:  # the same release, built for CUDA
        builds = {"torch": real("torch").partition("+")[0] + "+cu128"}
        patch.setattr(caching, "version", lambda name: builds.get(name) or real(name))
        assert key() == before
    with monkeypatch.context() as patch:
        patch.setattr(caching, "version", lambda name: {"av": "9.9"}.get(name) or real(name))
        assert key() == before
    assert stage_key(replace(SPLAT, libraries=("torch",)), "hall", {}, "cpu") != key()
