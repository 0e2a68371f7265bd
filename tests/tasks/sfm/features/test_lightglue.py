"""LightGlue against the code of its authors."""

from types import ModuleType

import numpy as np
import pytest
import torch

from tasks.sfm.features.lightglue import LightGlue, lightglue_network, match, positions
from tests.support.published_networks import published, weights

SIZE = (320, 240)
Photo = tuple[torch.Tensor, torch.Tensor]
"""Keypoints [n 2] and descriptors [n d]."""
Matched = dict[tuple[int, int], float]
"""Score by indices of the keypoints."""


def random_pair(common: int, alone: int, seed: int = 0, noise: float = 0.03) -> tuple[Photo, Photo]:
    """Two photos of which ``common`` keypoints are the same, moved by 8 px to the right."""
    rng = torch.Generator().manual_seed(seed)

    def drawn(count: int) -> Photo:
        xy = torch.rand(count, 2, generator=rng) * (torch.tensor(SIZE) - 20) + 10
        return xy, torch.nn.functional.normalize(torch.randn(count, 128, generator=rng), dim=1)

    (xy, looks), one, other = drawn(common), drawn(alone), drawn(alone)
    changed = looks + noise * torch.randn(looks.shape, generator=rng)
    moved = xy + torch.tensor([8.0, 0.0])
    return (
        (torch.cat([xy, one[0]]), torch.cat([looks, one[1]])),
        (
            torch.cat([other[0], moved]),
            torch.nn.functional.normalize(torch.cat([other[1], changed]), dim=1),
        ),
    )


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(weights("aliked_lightglue.pth"), weights_only=True)
    return loaded


def ours(network: LightGlue, pair: tuple[Photo, Photo], least: float = 0.1) -> Matched:
    one, other = pair
    with torch.inference_mode():
        indices, scores = match(
            network,
            (one[1], other[1]),
            (positions(one[0], SIZE), positions(other[0], SIZE)),
            least,
        )
    return {(i, j): score for (i, j), score in zip(indices.tolist(), scores.tolist(), strict=True)}


def theirs(lightglue: ModuleType, pair: tuple[Photo, Photo]) -> tuple[Matched, int]:
    network = lightglue.LightGlue(features="aliked", filter_threshold=0.1).eval()
    data = {
        f"image{index}": {
            "keypoints": xy[None],
            "descriptors": looks[None],
            "image_size": torch.tensor([SIZE]).float(),
        }
        for index, (xy, looks) in enumerate(pair)
    }
    with torch.inference_mode():
        found = network(data)
    matches = {
        (i, j): score
        for (i, j), score in zip(
            found["matches"][0].tolist(), found["scores"][0].tolist(), strict=True
        )
    }
    return matches, found["stop"]


@pytest.mark.parametrize(
    ("common", "alone", "noise"),
    [(150, 10, 0.01), (60, 200, 0.03), (0, 50, 0.03), (80, 60, 0.15)],
    ids=["alike", "mostly apart", "strangers", "noisy"],
)
def test_matches_and_scores_are_those_of_its_authors(
    tensors: dict[str, torch.Tensor], common: int, alone: int, noise: float
) -> None:
    pair = random_pair(common, alone, noise=noise)
    with published() as load:
        expected, _ = theirs(load("lightglue"), pair)
    found = ours(lightglue_network(tensors), pair)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), atol=1e-3)
    assert len(found) >= 0.5 * common


def test_the_cases_above_stop_after_different_layers(tensors: dict[str, torch.Tensor]) -> None:
    """Else they would not show that stopping and dropping are right."""
    with published() as load:
        lightglue = load("lightglue")
        stops = {
            theirs(lightglue, random_pair(common, alone, noise=noise))[1]
            for common, alone, noise in ((150, 10, 0.01), (60, 200, 0.03), (80, 60, 0.15))
        }
    assert len(stops) > 1


def test_known_partners_are_found(tensors: dict[str, torch.Tensor]) -> None:
    found = ours(lightglue_network(tensors), random_pair(100, 40), least=0.3)
    right = sum(j - 40 == i for i, j in found)
    assert right > 80
    assert right >= 0.98 * len(found)


def test_bfloat16_gives_nearly_the_same_matches(tensors: dict[str, torch.Tensor]) -> None:
    pair = random_pair(100, 40)
    exact = ours(lightglue_network(tensors), pair, least=0.3)
    coarse = ours(lightglue_network(tensors, dtype=torch.bfloat16), pair, least=0.3)
    assert len(exact.keys() & coarse.keys()) >= 0.9 * len(exact.keys() | coarse.keys())


def test_the_older_names_of_layers_are_known(tensors: dict[str, torch.Tensor]) -> None:
    older = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if first == "transformers":
            layer, block, rest = rest.split(".", 2)
            name = f"{block}.{layer}.{rest}"
        older[name] = tensor
    assert older.keys() != tensors.keys()
    pair = random_pair(50, 20)
    assert ours(lightglue_network(older), pair) == ours(lightglue_network(tensors), pair)


def test_a_photo_without_keypoints_matches_nothing(tensors: dict[str, torch.Tensor]) -> None:
    one, _ = random_pair(20, 5)
    nothing = (torch.zeros(0, 2), torch.zeros(0, 128))
    network = lightglue_network(tensors)
    for pair in ((one, nothing), (nothing, one), (nothing, nothing)):
        assert ours(network, pair) == {}


def test_the_longer_side_of_a_photo_goes_from_minus_one_to_one() -> None:
    xy = torch.tensor([[0.0, 0.0], [320.0, 240.0], [160.0, 120.0]])
    expected = torch.tensor([[-1.0, -0.75], [1.0, 0.75], [0.0, 0.0]])
    torch.testing.assert_close(positions(xy, SIZE), expected)
