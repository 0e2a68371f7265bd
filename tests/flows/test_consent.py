"""Consent to models and code of others comes from the machine, and no run can carry it."""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.commands.trust import TrustOptions
from flows.config import RefinerConfig, SceneConfig
from flows.dataset import reconstruct_dataset, resume_dataset
from flows.scene import reconstruct_scene
from flows.settings import Settings
from flows.train_refiner import train_refiner
from storage.metrics import read_table
from storage.store import Store
from tasks.config import overridden
from tasks.errors import InputError
from tests.flows.conftest import Command

COMMIT = "1" * 40
LISTED = f"a/base@{COMMIT}"
FLOWS = (reconstruct_scene, reconstruct_dataset, resume_dataset, train_refiner)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("UNSEEN_MODELS", "UNSEEN_TRUSTED_CODE"):
        monkeypatch.delenv(name, raising=False)


def config_with(refiner: dict[str, Any]) -> SceneConfig:
    return overridden(SceneConfig(), {"refine": {"refiner": refiner}}, where="x")


def stable(model: str = "a/base") -> SceneConfig:
    weights = {"kind": "stable_diffusion", "model": model, "revision": COMMIT}
    weights |= {"controlnets": ["a/net"], "controlnet_revisions": [COMMIT]}
    return config_with({"kind": "controlnet", "weights": weights})


def difix(folder: Path) -> SceneConfig:
    return config_with({"kind": "difix", "model": str(folder), "pipeline": str(folder)})


def test_the_environment_of_the_machine_lists_what_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings(device="cpu").machine().trust.models == set()
    monkeypatch.setenv("UNSEEN_MODELS", LISTED)
    monkeypatch.setenv("UNSEEN_TRUSTED_CODE", "/models/difix")
    trust = Settings(device="cpu").machine().trust
    assert (trust.models, trust.code) == ({LISTED}, {"/models/difix"})
    monkeypatch.setenv("UNSEEN_TRUSTED_CODE", "nvidia/difix@main")
    with pytest.raises(InputError, match=r"UNSEEN_TRUSTED_CODE .*'nvidia/difix'.*'main'"):
        Settings(device="cpu").machine()


def names_in(schema: Any) -> Iterator[str]:
    """Names of the fields of a form, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties") or ()
        for part in schema.values():
            yield from names_in(part)


def test_no_parameter_of_a_flow_carries_consent() -> None:
    for flow in FLOWS:
        names = inspect.signature(flow.fn).parameters
        assert not {name for name in names if "trust" in name or "model" in name}
        named = set(names_in(flow.parameters.model_dump()))
        assert "memory_gib" in named or "config" not in names
        assert not {name for name in named if "trust" in name or "code" in name}


@pytest.mark.parametrize("name", ["trust_remote_code", "trusted_code", "trust"])
def test_a_parameter_that_would_carry_it_is_refused(name: str) -> None:
    config = difix(Path("/models/difix")).model_dump(mode="json")
    config["refine"]["refiner"][name] = True
    parameters: dict[str, Any] = {"folder": "/x", "scene": "x", "run": "x"}
    with pytest.raises(Exception, match=name):
        reconstruct_scene.validate_parameters({**parameters, "config": config})
    usual = difix(Path("/models/difix")).model_dump(mode="json")
    with pytest.raises(Exception, match=name):
        reconstruct_scene.validate_parameters({**parameters, "config": {**usual, name: True}})
    with pytest.raises(Exception, match=name):
        reconstruct_scene.validate_parameters({**parameters, name: "/models/difix"})


def test_a_run_hands_its_settings_to_workers_but_not_its_trust() -> None:
    TrustOptions(models=LISTED, trusted_code="/models/difix").use()
    passed = Settings().passed_on()
    assert passed["UNSEEN_STORE"]
    assert not [value for value in passed.values() if "base" in value or "difix" in value]
    assert not {"UNSEEN_MODELS", "UNSEEN_TRUSTED_CODE"} & set(passed)


def test_the_command_line_vouches_for_the_models_it_names_but_for_no_code(tmp_path: Path) -> None:
    TrustOptions().use(stable())
    assert Settings().trust().models == {LISTED, f"a/net@{COMMIT}"}
    assert Settings().trust().code == set()
    TrustOptions().use(difix(tmp_path))
    assert Settings().trust().code == set()
    assert str(tmp_path) not in Settings().trust().models


def test_an_option_replaces_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_MODELS", LISTED)
    monkeypatch.setenv("UNSEEN_TRUSTED_CODE", LISTED)
    TrustOptions(models="/models/a", trusted_code="").use(SceneConfig())
    assert Settings().trust().models == {"/models/a"}
    assert Settings().trust().code == set()
    with pytest.raises(InputError, match="--models"):
        TrustOptions(models="a/b@main").use()


def test_a_training_names_no_model_of_others() -> None:
    assert "difix" not in str(RefinerConfig().model_dump())


@pytest.mark.slow
def test_a_dataset_cannot_have_its_code_run_and_the_machine_of_the_worker_can(
    unseen: Command, command_environment: dict[str, str], api: str, tmp_path: Path
) -> None:
    """Both commands fail, since the scene has one photo alone: where it is trusted, at that."""
    from PIL import Image

    dataset, store = tmp_path / "dataset", tmp_path / "store"
    scene = dataset / "a"
    scene.mkdir(parents=True)
    Image.effect_noise((64, 48), 90).save(scene / "a.png")
    (scene / "pipeline.py").write_text(f"open({str(tmp_path / 'was run')!r}, 'w')")
    refiner = f"{{kind: difix, model: {scene}, pipeline: {scene}}}"
    (dataset / "dataset.yaml").write_text(
        f"scenes: [{{folder: a, config: {{refine: {{refiner: {refiner}}}}}}}]"
    )

    def message(run: str, *options: str, **variables: str) -> str:
        words = ("run", dataset, "--store", store, "--name", run, *options)
        said = unseen(*words, environment=command_environment | variables)
        assert said.returncode == 1, said.stderr
        rows = read_table(Store(root=str(store)), "scenes", run=run)
        return str(rows["error_message"].iloc[0])

    untrusted = message("untrusted")
    assert f"'{scene}' comes with Python code of its own" in untrusted
    assert f"UNSEEN_TRUSTED_CODE='{scene}'" in untrusted
    listed_as_weights = message("weights", "--models", str(scene))
    assert "comes with Python code" in listed_as_weights
    for trusted in (
        message("option", "--trusted-code", str(scene)),
        message("variable", UNSEEN_TRUSTED_CODE=str(scene)),
    ):
        assert "structure from motion needs at least" in trusted
    assert not (tmp_path / "was run").exists()
