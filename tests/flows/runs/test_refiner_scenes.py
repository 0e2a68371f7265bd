"""The split of scenes into training and validation."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.config import RefinerConfig, ValidationConfig
from flows.runs.refiner_scenes import scenes_of, split_scenes
from tasks.errors import InputError

NAMES = st.lists(st.text(min_size=1), min_size=2, max_size=40, unique=True)


@given(names=NAMES, share=st.floats(0, 0.5), seed=st.integers(0, 99))
def test_every_scene_is_either_training_or_validation(
    names: list[str], share: float, seed: int
) -> None:
    split = split_scenes(names, ValidationConfig(share=share, seed=seed))
    assert not set(split.training) & set(split.validation)
    assert sorted((*split.training, *split.validation)) == sorted(names)
    assert len(split.validation) == (max(1, round(share * len(names))) if share else 0)
    assert list(split.training) == [name for name in names if name in split.training]


@given(names=NAMES, seed=st.integers(0, 99))
def test_the_split_does_not_depend_on_the_order_of_scenes(names: list[str], seed: int) -> None:
    config = ValidationConfig(share=0.4, seed=seed)
    one, other = split_scenes(names, config), split_scenes(names[::-1], config)
    assert set(one.validation) == set(other.validation)


def test_another_seed_selects_other_validation_scenes() -> None:
    names = [f"scene {number}" for number in range(40)]
    drawn = {
        split_scenes(names, ValidationConfig(share=0.2, seed=seed)).validation for seed in range(5)
    }
    assert len(drawn) == 5


def test_only_named_scenes_are_kept_for_validation() -> None:
    split = split_scenes(["a", "b", "c"], ValidationConfig(scenes=("b",), share=0.9))
    assert (split.training, split.validation) == (("a", "c"), ("b",))


def test_a_split_without_training_scenes_is_refused() -> None:
    with pytest.raises(
        InputError, match="all 1 scenes that gave pairs are withheld for validation"
    ):
        split_scenes(["a"], ValidationConfig())
    with pytest.raises(InputError, match="all 2 scenes"):
        split_scenes(["a", "b"], ValidationConfig(scenes=("a", "b")))


def test_scenes_of_several_datasets_are_combined(tmp_path: Path) -> None:
    for name in ("a/hall", "a/attic", "b/roof"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.jpg").touch()
    found = scenes_of([str(tmp_path / "a"), str(tmp_path / "b")], RefinerConfig(), ())
    assert [entry.name for entry in found] == ["attic", "hall", "roof"]


@pytest.mark.parametrize(
    ("datasets", "validation", "sentence"),
    [
        ([], (), "no dataset is given"),
        (["none"], (), "'none' does not exist"),
        (["a", "b"], (), "two scenes are named 'hall'"),
        (["c"], (), "a scene is named 'refiner' ("),
        (
            ["a"],
            ("cellar",),
            "'validation.scenes' is wrong: the training has no scene 'cellar'; it has: hall",
        ),
    ],
)
def test_datasets_that_cannot_be_trained_on_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    datasets: list[str],
    validation: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/hall", "b/hall", "c/refiner"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.jpg").touch()
    config = RefinerConfig(validation=ValidationConfig(scenes=validation))
    with pytest.raises(InputError, match=re.escape(sentence)):
        scenes_of(datasets, config, ())
