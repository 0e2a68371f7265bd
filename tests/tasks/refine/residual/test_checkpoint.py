"""Weights written to a file and read back, and invalid files."""

import json
import pickle
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.refine.config import RefineConfig, Residual
from tasks.refine.residual.checkpoint import checkpoint_of, read_checkpoint
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.refine import refine
from tasks.refine.select import refiner_for
from tasks.source import Source
from tests.support.view_batches import a_batch


def a_network() -> ResidualNetwork:
    network = ResidualNetwork(NetworkConfig(widths=(4, 6), photos=2))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.2 * torch.randn(weights.shape, generator=generator))
    return network.eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "residual.safetensors"
    path.write_bytes(checkpoint_of(a_network(), data="abc"))
    return path


def header(content: bytes) -> dict[str, object]:
    """By the format's description: eight bytes of length, and as much JSON."""
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def with_header(content: bytes, found: object) -> bytes:
    encoded = json.dumps(found).encode()
    body = content[8 + int.from_bytes(content[:8], "little") :]
    return len(encoded).to_bytes(8, "little") + encoded + body


def described(content: bytes) -> dict[str, object]:
    return json.loads(header(content)["__metadata__"]["unseen"])


def described_as(content: bytes, **changes: object) -> bytes:
    entry = json.dumps({**described(content), **changes})
    return with_header(content, {**header(content), "__metadata__": {"unseen": entry}})


def test_a_network_is_read_back_with_its_shape_and_weights(file: Path) -> None:
    network = a_network()

    found = read_checkpoint(file)

    assert found.config == network.config
    assert not found.training
    for one, other in zip(found.parameters(), network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_file_holds_its_format_and_the_digest_of_its_training_data(file: Path) -> None:
    content = file.read_bytes()
    found = described(content)
    assert found["format"] == "unseen residual refiner"
    assert found["data"] == "abc"
    assert found["network"]["widths"] == [4, 6]
    assert header(content)["stem.bias"]["shape"] == [4]


def test_equal_networks_make_equal_files() -> None:
    assert checkpoint_of(a_network(), data="abc") == checkpoint_of(a_network(), data="abc")


def test_a_file_truncated_anywhere_is_refused(file: Path) -> None:
    content = file.read_bytes()
    for length in (0, 5, 20, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match=f"of {length} bytes is not a whole safetensors file"):
            read_checkpoint(file)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was run",))


def test_a_pickle_is_refused_and_not_executed(file: Path) -> None:
    file.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "other"}, "holds weights of format 'other' version 1, not of 'unseen residual"),
        ({"version": 7}, "version 7, not of 'unseen residual refiner' version 1"),
        ({"network": "x"}, "the description of the network in .* has 1 errors"),
        ({"network": {"widths": [4, 6], "photo": 2}}, "has 1 errors"),
        ({"network": {"widths": [4, 6, 8], "photos": 2}}, "holds 24 tensors where its network"),
        ({"network": {"widths": [4, 8], "photos": 2}}, r"is \[6, 6, 3, 3\] of torch.float32"),
    ],
)
def test_weights_of_another_network_are_refused(
    file: Path, changes: dict[str, object], sentence: str
) -> None:
    file.write_bytes(described_as(file.read_bytes(), **changes))
    with pytest.raises(InputError, match=sentence):
        read_checkpoint(file)


def test_a_file_without_metadata_is_refused(file: Path) -> None:
    content = file.read_bytes()
    found = header(content)
    del found["__metadata__"]
    file.write_bytes(with_header(content, found))
    with pytest.raises(InputError, match="format 'None'"):
        read_checkpoint(file)


def test_non_finite_weights_are_refused(file: Path) -> None:
    network = a_network()
    with torch.no_grad():
        network.stem.bias[1] = torch.nan
    file.write_bytes(checkpoint_of(network, data=""))
    with pytest.raises(InputError, match=r"'stem\.bias' .* has 1 of 4 values that are not finite"):
        read_checkpoint(file)


def test_a_file_that_changed_since_its_digest_is_refused(file: Path) -> None:
    digest = sha256(file.read_bytes()).hexdigest()
    read_checkpoint(file, digest=digest)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match="changed while the scene ran"):
        read_checkpoint(file, digest=digest)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.safetensors' cannot be read \(No such file"):
        read_checkpoint(tmp_path / "none.safetensors")


def test_the_configured_refiner_uses_the_weights_of_the_file(file: Path) -> None:
    views = a_batch()
    config = RefineConfig(refiner=Residual(gate=None, tile_edge=64))
    weights = Source(folder=str(file), digest=sha256(file.read_bytes()).hexdigest())

    found = refiner_for(config, weights=weights)(views)

    expected = refine(a_network(), views)
    np.testing.assert_allclose(found.image, expected.image, atol=1e-5)
    np.testing.assert_allclose(found.weight, expected.weight, atol=1e-5)


def test_a_residual_refiner_without_weights_is_refused() -> None:
    with pytest.raises(InputError, match="'residual' has no weights"):
        refiner_for(RefineConfig(refiner=Residual()))


def test_a_small_file_that_describes_a_huge_network_takes_no_memory_for_it(file: Path) -> None:
    import resource

    huge = {"widths": [4096] * 6, "blocks": 8, "photos": 2}  # 20 GB
    file.write_bytes(described_as(file.read_bytes(), network=huge))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="name another file"):
        read_checkpoint(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


@pytest.mark.parametrize("width", [0, -1, 4097, 10**30])
def test_a_network_of_an_impossible_width_is_refused(file: Path, width: int) -> None:
    network = {"widths": [4, width], "photos": 2}
    file.write_bytes(described_as(file.read_bytes(), network=network))
    with pytest.raises(InputError, match="the description of the network"):
        read_checkpoint(file)


def test_a_description_nested_without_end_is_refused(file: Path) -> None:
    content = file.read_bytes()
    entry = "[" * 100_000
    metadata = {**header(content), "__metadata__": {"unseen": entry}}
    file.write_bytes(with_header(content, metadata))
    with pytest.raises(InputError, match="nested too deeply"):
        read_checkpoint(file)
