"""What a dataset may set: every field of the configs says it, and manifests keep to it."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from flows.config import RefinerConfig, SceneConfig
from flows.runs.manifest import find_scenes
from flows.runs.settable import by_dataset, models_in, unstated
from tasks.config import Alternative, Config, SetBy
from tasks.errors import InputError
from tasks.refine.config import Difix
from tasks.runtime.trust import Trust
from tests.support.documents import ROOT


@pytest.mark.parametrize("config", [SceneConfig, RefinerConfig])
def test_every_field_of_text_says_whether_a_dataset_may_set_it(config: type[Config]) -> None:
    assert unstated(config) == (), "say it by Annotated[str, SetBy....]"


class Inner(Alternative):
    kind: Literal["inner"] = "inner"
    where: str | None = None
    choice: Literal["a", "b"] = "a"
    said: Annotated[str, SetBy.FREELY] = ""


class Other(Alternative):
    kind: Literal["other"] = "other"
    files: tuple[tuple[Path, int], ...] = ()
    bounded: Annotated[str, Field(min_length=2)] = "ab"
    named: dict[str, int] = Field(default={})


class Outer(Config):
    part: Annotated[Inner | Other, Field(discriminator="kind")] = Inner()
    maybe: Inner | None = None
    number: float = 1.0


def test_a_new_field_of_text_that_says_nothing_is_found_at_any_depth() -> None:
    assert unstated(Outer) == ("Inner.where", "Other.files", "Other.bounded", "Other.named")


def test_what_names_models_files_and_limits_is_as_the_table_says() -> None:
    stated = {
        f"{model.__name__}.{name}": by_dataset(field).name
        for model in models_in(SceneConfig)
        for name, field in model.model_fields.items()
        if by_dataset(field) is not SetBy.FREELY
    }
    assert stated == {
        "IngestConfig.max_pixels": "OWNER",
        "SplatConfig.memory_gib": "OWNER",
        "Sift.matcher_weights": "OWNER",
        "Aliked.weights": "OWNER",
        "Aliked.matcher_weights": "OWNER",
        "Ply.file": "INSIDE",
        "Residual.weights": "INSIDE",
        "SmallModel.file": "INSIDE",
        "StableDiffusion.model": "LISTED",
        "StableDiffusion.revision": "LISTED",
        "StableDiffusion.controlnets": "LISTED",
        "StableDiffusion.controlnet_revisions": "LISTED",
        "Difix.model": "LISTED",
        "Difix.revision": "LISTED",
        "Difix.pipeline": "LISTED",
        "Difix.pipeline_revision": "LISTED",
    }
    table = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    for path, said in (
        ("splat.memory_gib", "no"),
        ("splat.init.file", "inside its folder"),
        ("refine.refiner.pipeline", "if listed"),
        ("splat.iterations", "yes"),
    ):
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{path}` ")]
        assert row.split(" | ")[4] == said


def the_error(dataset: Path, row: str) -> str:
    (dataset / "a").mkdir(exist_ok=True)
    (dataset / "dataset.yaml").write_text(f"scenes: [{{folder: a, config: {row}}}]")
    (entry,) = find_scenes(dataset, SceneConfig())
    return str(entry.error)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("{splat: {memory_gib: 1e6}}", "splat.memory_gib"),
        ("{splat: {memory_gib: 0.5}}", "splat.memory_gib"),
        ("{ingest: {max_pixels: 178000000}}", "ingest.max_pixels"),
    ],
)
def test_a_manifest_that_sets_a_field_of_the_owner_is_refused_in_one_sentence(
    tmp_path: Path, row: str, field: str
) -> None:
    said = the_error(tmp_path, row)
    assert f"the config of scene 'a' sets '{field}', which protects the machine" in said
    assert "on the command line" in said
    assert "\n" not in said


def test_a_manifest_cannot_consent_to_foreign_code(tmp_path: Path) -> None:
    commit = "0" * 40
    row = f"{{refine: {{refiner: {{kind: difix, revision: '{commit}', trust_remote_code: true}}}}}}"
    assert "no field 'refine.refiner.trust_remote_code'" in the_error(tmp_path, row)


@pytest.mark.parametrize("revision", ["main", "null", "v2"])
def test_a_manifest_cannot_name_a_branch(tmp_path: Path, revision: str) -> None:
    row = f"{{refine: {{refiner: {{kind: difix, revision: {revision}}}}}}}"
    assert "give the commit, 40 hexadecimal digits" in the_error(tmp_path, row)


def test_a_manifest_that_is_a_link_out_of_its_dataset_is_not_read(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for name, content in (("dataset.yaml", "key: [secret"), ("dataset.csv", "secret\n")):
        (tmp_path / "secret").write_text(content)
        (dataset / name).symlink_to(tmp_path / "secret")
        with pytest.raises(InputError, match="is a link out of that folder") as caught:
            find_scenes(dataset, SceneConfig())
        assert "key" not in str(caught.value)
        with pytest.raises(InputError, match=r"key|secret"):  # allowed, and read
            find_scenes(dataset, SceneConfig(), roots=[tmp_path])
        (dataset / name).unlink()


@pytest.mark.parametrize("folder", ["s3://bucket/a", "http://evil/a", "file:///etc", "-i", "$HOME"])
def test_an_address_in_a_manifest_is_a_folder_of_the_dataset(tmp_path: Path, folder: str) -> None:
    (tmp_path / "dataset.yaml").write_text(f"scenes: [{{folder: '{folder}', name: a}}]")
    (entry,) = find_scenes(tmp_path, SceneConfig())
    assert Path(entry.folder) == tmp_path / folder


def test_the_default_of_difix_is_no_consent() -> None:
    assert not Trust().runs(f"{Difix.model_fields['model'].default}@{'0' * 40}")
