"""Parsing of the command line, and the errors of invalid arguments."""

import functools
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import COMMANDS, main
from flows.commands.parse import parse
from flows.config import RefinerConfig, SceneConfig, ValidationConfig, read_config
from tasks.errors import InputError
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.training_config import SmallShape, TrainControlNet
from tasks.splat.config import EveryNth, Mcmc, SplatConfig, TrainOn


def arguments(*words: str) -> dict[str, Any]:
    command = parse(COMMANDS, words)
    assert isinstance(command, functools.partial)
    return command.keywords


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What the command prints when it refuses these words."""
    monkeypatch.setattr(sys, "argv", ["unseen", *words])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code not in (0, None)
    printed = capsys.readouterr()
    return f"{caught.value.code} {printed.out} {printed.err}"


def test_without_options_the_config_is_the_default() -> None:
    assert arguments("run", "photos")["config"] == SceneConfig()


def test_options_reach_every_depth() -> None:
    config = arguments("run", "x", "--splat.densify.every", "7", "--split.n", "3")["config"]
    assert config.splat.densify.every == 7
    assert config.split == EveryNth(n=3)


def helps(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(COMMANDS, words)
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_help_shows_the_common_options_and_help_all_every_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    common, every = helps(capsys, "run", "--help"), helps(capsys, "run", "--help-all")
    assert "--help-all lists them all" in common
    for option in ("--splat.iterations", "--splat.max-size", "--split.n", "--refine.refiner.kind"):
        assert option in common
        assert option in every
    assert "One of: reproject, residual, controlnet, difix, mean." in common
    assert "--splat.densify.gradient" not in common
    assert "--splat.densify.gradient" in every
    assert common.count(" --") < 50 < 100 < every.count(" --")


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("--refine.refiner.kind mean", "refine: {refiner: {kind: mean}}"),
        ("--refine.refiner.kind=controlnet", "refine: {refiner: {kind: controlnet}}"),
        (
            "--splat.densify.kind mcmc --splat.densify.every 50",
            "splat: {densify: {kind: mcmc, every: 50}}",
        ),
        (
            "--split.kind train_on --split.photos a.jpg b.jpg",
            "split: {kind: train_on, photos: [a.jpg, b.jpg]}",
        ),
        ("--split.kind every_nth --split.n 5", "split: {kind: every_nth, n: 5}"),
        ("--sfm.features.kind aliked", "sfm: {features: {kind: aliked}}"),
        (
            "--refine.refiner.kind controlnet --refine.refiner.weights.kind stable_diffusion "
            "--refine.refiner.weights.model /m --refine.refiner.weights.controlnets /c",
            "refine: {refiner: {kind: controlnet, "
            "weights: {kind: stable_diffusion, model: /m, controlnets: [/c]}}}",
        ),
    ],
)
def test_every_alternative_can_be_chosen_with_its_options(
    tmp_path: Path, words: str, fields: str
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(fields)
    assert arguments("run", "x", *words.split())["config"] == read_config(file)


def test_options_of_the_chosen_alternative_add_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("splat: {densify: {kind: mcmc, every: 50}}")
    words = ("--config", str(file), "--splat.densify.kind", "mcmc", "--splat.init.kind", "points")
    config = arguments("run", "x", *words)["config"]
    assert config.splat.densify == Mcmc(every=50)
    assert config.splat.init.kind == "points"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--refine.refiner.kind", "means"), "has no kind 'means', did you mean 'mean'?"),
        (("--split.kind", "train_on"), "--split.photos"),
        (("--splat.kind", "x"), "--splat.kind"),
        (("--refine.refiner.kind",), "has no kind ''"),
    ],
)
def test_what_is_missing_or_wrong_of_an_alternative_is_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    expected: str,
) -> None:
    assert expected in said(capsys, monkeypatch, "run", "x", *words)


def test_the_same_config_from_yaml_and_options_gives_the_same_key(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("splat: {iterations: 4000, max_size: 960}\nsfm: {threads: 1}\n")
    words = ("--splat.iterations", "4000", "--splat.max-size", "960", "--sfm.threads", "1")
    from_words = arguments("run", "x", *words)["config"]
    assert from_words == read_config(file)
    assert hash(from_words) == hash(read_config(file))
    assert from_words.model_dump_json() == read_config(file).model_dump_json()


@pytest.mark.parametrize("form", [["--config", "{file}"], ["--config={file}"]])
def test_options_override_the_file_in_any_argument_order(tmp_path: Path, form: list[str]) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("splat: {iterations: 4000, max_size: 960}\n")
    option = [word.format(file=file) for word in form]
    for words in (
        ["run", *option, "x", "--splat.iterations", "9"],
        ["run", "x", "--splat.iterations", "9", *option],
    ):
        assert arguments(*words)["config"].splat == SplatConfig(iterations=9, max_size=960)


def test_a_file_switches_the_kind_of_split_and_options_change_it(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("split: {kind: train_on, photos: [a.jpg, b.jpg]}\n")
    assert arguments("run", "x", "--config", str(file))["config"].split == TrainOn(
        photos=("a.jpg", "b.jpg")
    )
    changed = arguments("scene", "x", "--config", str(file), "--split.photos", "c.jpg", "d.jpg")
    assert changed["config"].split == TrainOn(photos=("c.jpg", "d.jpg"))


def test_a_file_switches_the_kind_of_densification_and_options_change_it(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("splat: {densify: {kind: mcmc, every: 7}}\n")
    words = ("run", "x", "--config", str(file), "--splat.densify.noise", "3")
    assert arguments(*words)["config"].splat.densify == Mcmc(every=7, noise=3)


def test_a_file_enables_joint_refinement_and_options_change_it(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("refine: {refiner: {kind: controlnet, joint: {}}}\n")
    words = ("run", "x", "--config", str(file), "--refine.refiner.joint.steps", "7")
    assert arguments(*words)["config"].refine.joint == JointConfig(steps=7)


def test_a_command_with_its_own_config_reads_it_from_file_and_options(tmp_path: Path) -> None:
    file = tmp_path / "refiner.yaml"
    file.write_text("pairs: {views: 7, sizes: [3]}\ntrain: {batch: 5}\n")
    words = ("train-refiner", "x", "y", "--out", "z", "--config", str(file))
    found = arguments(*words, "--pairs.views", "2", "--validation.scenes", "hall")
    assert found["datasets"] == (Path("x"), Path("y"))
    config = found["config"]
    assert (config.pairs.views, config.pairs.sizes, config.train.batch) == (2, (3,), 5)
    assert config.validation == ValidationConfig(scenes=("hall",))
    assert arguments("train-refiner", "x", "--out", "z")["config"] == RefinerConfig()


def test_a_file_switches_the_refiner_that_is_trained_and_options_change_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "refiner.yaml"
    file.write_text("train: {kind: controlnet, batch: 5, shape: {widths: [16, 32]}}\n")
    words = ("train-refiner", "x", "--out", "z", "--config", str(file))
    found = arguments(*words, "--train.repair-share", "0.25")["config"].train
    assert found == TrainControlNet(batch=5, repair_share=0.25, shape=SmallShape(widths=(16, 32)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{network: {blocks: 2}, kind: controlnet}", "there is no field 'train.network'"),
        ("{repair_share: 0.5}", "there is no field 'train.repair_share'"),
        ("{kind: gan}", "'train.kind' is 'gan'"),
    ],
)
def test_options_of_the_other_refiner_cannot_be_set(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "refiner.yaml"
    file.write_text(f"train: {text}\n")
    with pytest.raises(InputError, match=expected):
        arguments("train-refiner", "x", "--out", "z", "--config", str(file))


def test_parsing_keeps_no_state_between_calls(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("splat: {iterations: 4000}\n")
    arguments("run", "x", "--config", str(file))
    assert arguments("run", "x")["config"] == SceneConfig()


def test_scenes_with_spaces_and_dashes_can_be_named() -> None:
    assert arguments("run", "x", "--scenes", "front door", "été")["scenes"] == ("front door", "été")
    assert arguments("run", "x", "--scenes=-empty")["scenes"] == ("-empty",)


def test_a_value_out_of_bounds_is_refused_in_plain_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = said(capsys, monkeypatch, "run", "x", "--splat.densify.prune-opacity", "2")
    assert printed.startswith("unseen: the command line is wrong: 'splat.densify.prune_opacity' is")
    assert "less than 1" in printed
    assert "tyro" not in printed
    assert "pydantic" not in printed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "x", "--splat.iteration", "5"], "--splat.iterations"),
        (["run", "x", "--splat.iterations", "many"], "many"),
        (["run", "x", "--sfm.camera-model", "pinhole"], "SIMPLE_PINHOLE"),
        (["run"], "PATH"),
        (["rnu", "x"], "Available subcommands: demo, run"),
        (["run", "x", "--config"], "name a YAML file after it"),
        (["run", "x", "--config", "none.yaml"], "'none.yaml' cannot be read"),
        (["run", "none"], "'none' does not exist"),
        (["run", ".", "--priority", "0"], "the priority 0 is below 1"),
        (["scene", "none"], "'none' is no folder"),
        (["scene", ".", "--train-on", "a.jpg"], "--train-on is wrong: 'split.photos'"),
        (["scene", ".", "--name", "a/b"], "'a/b'"),
        (["train-refiner", "--out", "a"], "no dataset is given"),
        (["train-refiner", "none", "--out", "a"], "'none' does not exist"),
        (["train-refiner", "x"], "--out"),
        (["train-refiner", "x", "--out", "a", "--pairs.views", "0"], "'pairs.views' is 0"),
    ],
)
def test_wrong_arguments_are_refused_readably(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = said(capsys, monkeypatch, *words)
    assert expected in printed
    assert "Traceback" not in printed
    assert "tyro-dummy" not in printed
    assert not (tmp_path / "unseen-store").exists() or words[0] in ("scene", "train-refiner")


def test_zero_concurrent_scenes_are_refused() -> None:
    from flows.settings import shared_cores

    with pytest.raises(InputError, match="-2 scenes cannot run at once"):
        shared_cores(0, -2)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_describes_every_option(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(COMMANDS, [name, "--help-all"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert f"unseen {name}" in printed
    assert "tyro" not in printed
    assert "Raises" not in printed


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(COMMANDS, ["--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)
    assert "``" not in printed
