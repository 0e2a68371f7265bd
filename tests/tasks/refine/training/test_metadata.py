"""Metadata of a refiner file, read with the safetensors library."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, save

from tasks.refine.diffusion.small import new_small, read_small, small_checkpoint
from tasks.refine.diffusion.training_config import SmallShape
from tasks.refine.residual.checkpoint import checkpoint_of, read_checkpoint
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.training.metadata import description_in, licensed

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(5, dtype=torch.float16)}


def said_in(file: Path) -> dict[str, object]:
    with safe_open(file, framework="pt") as opened:
        return json.loads(opened.metadata()["unseen"])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(licence=st.text(), said=st.dictionaries(st.text(), st.text()))
def test_adding_a_licence_keeps_the_description_and_the_weights(
    tmp_path: Path, licence: str, said: dict[str, str]
) -> None:
    content = save(WEIGHTS, metadata={"unseen": json.dumps(said)})
    assert description_in(content) == said

    file = tmp_path / "weights.safetensors"
    file.write_bytes(licensed(content, licence))

    assert said_in(file) == said | {"licence": licence}
    found = load(file.read_bytes())
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(value, WEIGHTS[name]) for name, value in found.items())
    assert int.from_bytes(file.read_bytes()[:8], "little") % 8 == 0


def test_a_new_licence_replaces_the_old_one() -> None:
    content = save(WEIGHTS)
    assert licensed(licensed(content, "MIT"), "CC0-1.0") == licensed(content, "CC0-1.0")


def test_files_of_both_refiners_hold_licence_and_data_digest(tmp_path: Path) -> None:
    shape = SmallShape(widths=(8, 16))
    for content, read in (
        (checkpoint_of(ResidualNetwork(NetworkConfig(widths=(4,))), data="abc"), read_checkpoint),
        (small_checkpoint(new_small(shape, seed=0), data="abc"), read_small),
    ):
        file = tmp_path / "refiner.safetensors"
        file.write_bytes(licensed(content, "CC-BY-4.0"))
        read(file)
        said = said_in(file)
        assert (said["licence"], said["data"]) == ("CC-BY-4.0", "abc")


@pytest.mark.parametrize("content", [b"", b"weights", (2).to_bytes(8, "little") + b"[]"])
def test_a_file_that_is_no_refiner_has_no_description(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|no table"):
        description_in(content)
