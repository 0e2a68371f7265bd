"""A scene's config from YAML: what is left out, what is wrong, and how that is said."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.config import STAGES, SceneConfig, StagesConfig, read_config
from tasks.config import overridden
from tasks.errors import InputError
from tasks.splat.config import Absgrad, EveryNth, Mcmc, SplatConfig, TrainOn


def written(folder: Path, text: str) -> Path:
    file = folder / "run.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    iterations=st.integers(1, 1_000_000),
    ssim_weight=st.floats(0, 1),
    split=st.one_of(
        st.builds(EveryNth, n=st.integers(2, 99), offset=st.integers(0, 9)),
        st.builds(TrainOn, photos=st.lists(st.text(min_size=1), min_size=2).map(tuple)),
    ),
)
def test_a_config_written_as_yaml_comes_back_equal(
    tmp_path: Path, iterations: int, ssim_weight: float, split: EveryNth | TrainOn
) -> None:
    config = SceneConfig(
        split=split, splat=SplatConfig(iterations=iterations, ssim_weight=ssim_weight)
    )
    text = yaml.safe_dump(config.model_dump(mode="json"))
    found = read_config(written(tmp_path, text))
    assert found == config
    assert hash(found) == hash(config)


@pytest.mark.parametrize(
    ("config", "ran"),
    [
        ({}, "ingest sfm splat ensemble views refine control distil evaluate"),
        ({"without": ("evaluate",)}, "ingest sfm splat ensemble views refine control distil"),
        # A control is of use beside the distilled splat alone.
        ({"without": ("distil",)}, "ingest sfm splat ensemble views refine evaluate"),
        ({"without": ("views",)}, "ingest sfm splat evaluate"),
        ({"without": ("ensemble", "distil")}, "ingest sfm splat views refine evaluate"),
        ({"until": "refine"}, "ingest sfm splat ensemble views refine"),
        ({"until": "control"}, "ingest sfm splat ensemble views refine control"),
        ({"until": "control", "without": ("refine",)}, "ingest sfm splat views"),
    ],
)
def test_the_config_determines_which_stages_run(config: dict[str, str], ran: str) -> None:
    stages = StagesConfig(**config)
    assert [stage.name for stage in STAGES if stages.runs(stage)] == ran.split()


def test_settings_missing_from_the_file_keep_their_values(tmp_path: Path) -> None:
    found = read_config(written(tmp_path, "splat: {densify: {every: 7}}\nsfm:\n"))
    assert found.splat.densify.every == 7
    assert found.splat.densify.start == SceneConfig().splat.densify.start
    assert found.model_copy(update={"splat": SplatConfig()}) == SceneConfig()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "\n")) == SceneConfig()


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "\ufeffsplat: {iterations: 5}")).splat.iterations == 5


def test_another_kind_of_split_replaces_the_whole_of_it() -> None:
    base = SceneConfig(split=TrainOn(photos=("a.jpg", "b.jpg")))
    found = overridden(base, {"split": {"kind": "every_nth", "n": 3}}, where="it")
    assert found.split == EveryNth(n=3, offset=0)


def test_the_same_kind_of_split_keeps_its_other_fields() -> None:
    base = SceneConfig(split=EveryNth(n=5, offset=2))
    assert overridden(base, {"split": {"n": 7}}, where="it").split == EveryNth(n=7, offset=2)


def test_densification_keeps_its_kind_unless_another_is_named(tmp_path: Path) -> None:
    mcmc = read_config(written(tmp_path, "splat: {densify: {kind: mcmc, every: 7}}\n"))
    assert mcmc.splat.densify == Mcmc(every=7)
    changed = overridden(mcmc, {"splat": {"densify": {"noise": 2.0}}}, where="it")
    assert changed.splat.densify == Mcmc(every=7, noise=2.0)
    other = overridden(mcmc, {"splat": {"densify": {"kind": "absgrad"}}}, where="it")
    assert other.splat.densify == Absgrad()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "iterations: 5",
            "there is no field 'iterations' (known: stages, ingest, sfm, split, protocol, splat, "
            "ensemble, views, refine, distil, evaluate)",
        ),
        ("splats: {}", "there is no field 'splats', did you mean 'splat'?"),
        ("splat: {iteration: 5}", "no field 'splat.iteration', did you mean 'iterations'?"),
        ("splat: {densify: {evry: 5}}", "no field 'splat.densify.evry', did you mean 'every'?"),
        ("split: {ofset: 5}", "no field 'split.ofset', did you mean 'offset'?"),
        (
            "split: {kind: train_on, photo: [a, b]}",
            "no field 'split.photo', did you mean 'photos'?",
        ),
        ("split: {kind: train_on}", "'split.photos' is missing"),
        (
            "split: {kind: every_third}",
            "'split.kind' is 'every_third': it should be one of 'every_nth', 'train_on'",
        ),
        (
            "splat: {densify: {kind: random}}",
            "'splat.densify.kind' is 'random': it should be one of 'default', 'absgrad', 'mcmc'",
        ),
        ("splat: {densify: {noise: 1}}", "there is no field 'splat.densify.noise'"),
        ("splat: {iterations: 0}", "'splat.iterations' is 0: input should be greater than"),
        ("splat: {iterations: many}", "'splat.iterations' is 'many': input should be a valid int"),
        ("splat: 5", "'splat' is 5: "),
        (
            "refine: {refiner: {kind: controlnet, joint: {step: 5}}}",
            "there is no field 'refine.refiner.joint.step', did you mean 'steps'?",
        ),
        (
            "refine: {refiner: {kind: controlnet, joint: {strength: 0}}}",
            "'refine.refiner.joint.strength' is 0: input should be greater than 0",
        ),
        (
            "refine: {refiner: {kind: residual, joint: {}}}",
            "there is no field 'refine.refiner.joint'",
        ),
        ("sfm: {camera_model: pinhole}", "'SIMPLE_PINHOLE'"),
        ("[1, 2]", "is a list, but fields by name are needed"),
        ("splat: {", "is not YAML"),
        ("splat: \t{}", "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_suggestion(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_config(written(tmp_path, text))
    message = str(caught.value)
    assert said in message
    assert str(tmp_path / "run.yaml") in message
    assert "\n" not in message


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sfm\.seed.*splat\.iterations"):
        read_config(written(tmp_path, "splat: {iterations: -1}\nsfm: {seed: -1}"))


def test_a_missing_config_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml' cannot be read \(No such file"):
        read_config(tmp_path / "none.yaml")


def test_a_config_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.yaml").write_bytes(b"\xff\xd8\xff\xe0 jpeg")
    with pytest.raises(InputError, match="is not YAML"):
        read_config(tmp_path / "photo.yaml")


def test_unknown_choices_suggest_the_nearest() -> None:
    for changes, sentence in (
        ({"stages": {"until": "splt"}}, "did you mean 'splat'"),
        ({"stages": {"without": ["ensembel"]}}, "did you mean 'ensemble'"),
        ({"refine": {"refiner": {"kind": "residul"}}}, "did you mean 'residual'"),
    ):
        with pytest.raises(InputError, match=sentence):
            overridden(SceneConfig(), changes, where="the config")
