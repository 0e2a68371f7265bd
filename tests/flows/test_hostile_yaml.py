"""YAML files that nobody vouches for."""

import os
from pathlib import Path

import pytest

from flows.config import SceneConfig
from flows.runs.manifest import find_scenes
from tasks.config import read_yaml
from tasks.errors import InputError


def aliases_of_aliases(levels: int) -> str:
    """Nine to the power of the levels, in as many lines."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        below = ", ".join([f"*l{level - 1}"] * 9)
        lines.append(f"l{level}: &l{level} [{below}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        aliases_of_aliases(9),
        "a: &a [*a]",
        "a: &a {b: {c: *a}}",
        "[" * 5000,
        "a: 2024-13-45",
        f"a: {'1' * 5000}",
        "a: !!int ''",
        "a: !!bool perhaps",
        "a: !!python/object/apply:os.system [exit]",
        "a: !!python/name:os.system",
    ],
)
def test_what_no_manifest_holds_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.yaml").write_text(f"scenes: [{{folder: a}}]\n{text}")
    with pytest.raises(InputError, match="is not YAML") as caught:
        find_scenes(tmp_path, SceneConfig())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_aliases_are_read_where_they_stand_for_little(tmp_path: Path) -> None:
    text = "scenes: [{folder: a, config: &c {splat: {iterations: 7}}}, "
    (tmp_path / "dataset.yaml").write_text(text + "{folder: b, config: {<<: *c}}]")
    entries = find_scenes(tmp_path, SceneConfig())
    assert [entry.config.splat.iterations for entry in entries] == [7, 7]


def test_a_wrong_value_is_not_repeated_in_full(tmp_path: Path) -> None:
    text = f"scenes: [{{folder: a, config: {{splat: {{iterations: [{'x' * 10_000}]}}}}}}]"
    (tmp_path / "dataset.yaml").write_text(text)
    (entry,) = find_scenes(tmp_path, SceneConfig())
    assert "'splat.iterations' is [" in str(entry.error)
    assert len(str(entry.error)) < 1000


@pytest.mark.timeout(20)
def test_a_file_that_is_none_or_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match="not a regular file"):
        read_yaml(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").touch()
    os.truncate(tmp_path / "large.yaml", 2**40)
    with pytest.raises(InputError, match="more than 16 MiB"):
        read_yaml(tmp_path / "large.yaml")
