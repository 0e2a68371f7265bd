"""Models of others: what the keys of stages know of them, and who may name them."""

from pathlib import Path
from typing import Any

import pytest

from tasks.caching import stage_key
from tasks.errors import InputError
from tasks.refine.config import RefineConfig
from tasks.refine.task import REFINE
from tasks.refine.weights import find_weights
from tasks.runtime.trust import Trust

ONE, OTHER = "1" * 40, "2" * 40
ALL = Trust(
    models=frozenset(f"{name}@{commit}" for name in ("a/base", "a/net") for commit in (ONE, OTHER)),
    code=frozenset(f"a/{name}@{commit}" for name in ("difix", "code") for commit in (ONE, OTHER)),
)


def stable(**changes: Any) -> dict[str, Any]:
    usual = {
        "kind": "stable_diffusion",
        "model": "a/base",
        "revision": ONE,
        "controlnets": ["a/net"],
        "controlnet_revisions": [ONE],
    }
    return {"kind": "controlnet", "weights": usual | changes}


def difix(**changes: Any) -> dict[str, Any]:
    usual = {"model": "a/difix", "revision": ONE, "pipeline": "a/code", "pipeline_revision": ONE}
    return {"kind": "difix", **usual, **changes}


def key(folder: Path, refiner: dict[str, Any], trust: Trust = ALL) -> str:
    config = RefineConfig.model_validate({"refiner": refiner})
    weights = find_weights(folder, config, trust=trust)
    return stage_key(REFINE, "a", {"config": config, "weights": weights}, "cpu")


def test_another_commit_of_any_model_is_another_key(tmp_path: Path) -> None:
    refiners = [
        stable(),
        stable(revision=OTHER),
        stable(controlnet_revisions=[OTHER]),
        difix(),
        difix(revision=OTHER),
        difix(pipeline_revision=OTHER),
    ]
    assert len({key(tmp_path, refiner) for refiner in refiners}) == len(refiners)


def test_other_files_in_the_folder_of_a_model_are_another_key(tmp_path: Path) -> None:
    model = tmp_path / "base"
    (model / "unet").mkdir(parents=True)
    trust = Trust(models=ALL.models | {str(model)})
    refiner = stable(model=str(model), revision=None)

    def now() -> str:
        return key(tmp_path, refiner, trust)

    (model / "unet" / "weights.safetensors").write_bytes(b"some")
    keys = [now()]
    assert now() == keys[0]
    (model / "unet" / "weights.safetensors").write_bytes(b"else")
    keys.append(now())
    (model / "unet" / "weights.safetensors").rename(model / "weights.safetensors")
    keys.append(now())
    (model / "config.json").write_text("{}")
    keys.append(now())
    assert len(set(keys)) == 4
    (model / ".cache").mkdir()
    (model / ".cache" / "notes").write_text("downloaded on Monday")
    assert now() == keys[-1]


@pytest.mark.parametrize("refiner", [stable(), difix()])
def test_a_model_is_refused_before_any_stage_runs_where_nobody_lists_it(
    tmp_path: Path, refiner: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"UNSEEN_(MODELS|TRUSTED_CODE)='a/\w+@1{40}'"):
        key(tmp_path, refiner, Trust())


def test_a_model_listed_as_weights_runs_no_code(tmp_path: Path) -> None:
    weights_only = Trust(models=ALL.models | ALL.code)
    with pytest.raises(InputError, match="comes with Python code of its own"):
        key(tmp_path, difix(), weights_only)


def test_both_the_model_and_its_pipeline_must_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'a/code@1{40}' comes with Python code"):
        key(tmp_path, difix(), Trust(code=frozenset({f"a/difix@{ONE}"})))


def test_a_missing_folder_is_refused_with_the_command_that_fills_it(tmp_path: Path) -> None:
    folder = str(tmp_path / "none")
    trust = Trust(models=ALL.models | {folder})
    with pytest.raises(InputError, match=f"'{folder}' is no folder.*hf download"):
        key(tmp_path, stable(model=folder, revision=None), trust)
