"""ALIKED against the code of its authors, with a deformable convolution of the tests' own."""

import numpy as np
import pytest
import torch

from tasks.sfm.features.aliked import (
    Aliked,
    Convolution,
    FeatureMap,
    aliked_network,
    descriptors,
    score_and_features,
)
from tasks.sfm.features.keypoints import detect
from tests.support.polygons import photo
from tests.support.published_networks import published, weights


@pytest.fixture(scope="module")
def network() -> Aliked:
    return aliked_network(torch.load(weights("aliked-n16rot.pth"), weights_only=True))


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("size", [(70, 61), (64, 64)], ids=["extended", "multiples of 32"])
def test_keypoints_scores_and_descriptors_are_those_of_its_authors(
    network: Aliked, size: tuple[int, int]
) -> None:
    image = as_tensor(photo(*size, count=40))
    with published() as load, torch.inference_mode():
        theirs = load("aliked").ALIKED(
            model_name="aliked-n16rot", max_num_keypoints=1000, detection_threshold=0.002
        )
        theirs.eval()
        expected = {name: values[0] for name, values in theirs({"image": image}).items()}
    with torch.inference_mode():
        score, features = score_and_features(network, image)
        xy, strength = detect(score, threshold=0.002, most=1000)
        found = descriptors(network.describe, features, xy)
    assert len(xy) == len(expected["keypoints"]) > 30
    away = (xy[:, None] - expected["keypoints"][None]).norm(dim=2)
    partner = away.argmin(dim=1)  # equal scores may be in another order
    torch.testing.assert_close(xy, expected["keypoints"][partner], atol=1e-3, rtol=0)
    torch.testing.assert_close(strength, expected["keypoint_scores"][partner], atol=1e-3, rtol=0)
    torch.testing.assert_close(found, expected["descriptors"][partner], atol=1e-3, rtol=0)


def test_the_feature_map_is_the_enlarged_and_joined_one(network: Aliked) -> None:
    image = as_tensor(photo(70, 50, count=30))
    with torch.inference_mode():
        _, features = score_and_features(network, image)
        height, width = features.parts[0].shape[-2:]
        whole = torch.cat(
            [
                torch.nn.functional.interpolate(
                    part, (height, width), mode="bilinear", align_corners=True
                )
                for part in features.parts
            ],
            dim=1,
        )[0]
        unit = whole / whole.norm(dim=0)
        xy = torch.tensor([[0, 0], [69, 49], [13, 40]])
        left, top = features.corner
        expected = torch.stack([unit[:, top + y, left + x] for x, y in xy.tolist()])
        torch.testing.assert_close(features.at(xy), expected, atol=1e-5, rtol=0)


def test_features_between_pixels_are_bilinear_and_fade_out_at_the_border() -> None:
    values = torch.nn.functional.normalize(
        torch.randn(1, 6, 4, 5, generator=torch.Generator().manual_seed(1)), dim=1
    )
    features = FeatureMap(parts=[values], corner=(0, 0), size=(5, 4))
    xy = torch.tensor([[1.25, 2.5], [4.5, 0.0], [-0.25, 3.0], [9.0, 9.0]])
    found = features.between(xy)
    at = values[0]
    upper = 0.75 * at[:, 2, 1] + 0.25 * at[:, 2, 2]
    lower = 0.75 * at[:, 3, 1] + 0.25 * at[:, 3, 2]
    torch.testing.assert_close(found[0], (upper + lower) / 2)
    torch.testing.assert_close(found[1], at[:, 0, 4] / 2)
    torch.testing.assert_close(found[2], 0.75 * at[:, 3, 0])
    assert not found[3].any()


def test_descriptors_have_unit_length_and_do_not_depend_on_each_other(network: Aliked) -> None:
    image = as_tensor(photo(70, 50, count=30))
    with torch.inference_mode():
        _, features = score_and_features(network, image)
        xy = torch.tensor([[2.0, 2.0], [35.5, 20.25], [67.9, 47.9]])
        together = descriptors(network.describe, features, xy)
        alone = torch.cat([descriptors(network.describe, features, one[None]) for one in xy])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_statistics_of_training_are_used_whatever_the_photo_is(network: Aliked) -> None:
    """A batch norm in training mode would take those of the photo, and undo its contrast."""
    plain = network.blocks[0].first
    assert isinstance(plain, Convolution)
    assert plain.bias is not None
    image = as_tensor(photo(64, 64, count=30))
    with torch.inference_mode():
        dark, bright = plain(0.1 * image), plain(image)
        shift = plain.bias[None, :, None, None]
        torch.testing.assert_close((dark - shift) * 10, bright - shift, atol=1e-4, rtol=1e-4)


def test_weights_of_another_size_give_a_network_of_that_size() -> None:
    with torch.inference_mode():
        network = aliked_network(torch.load(weights("aliked-t16.pth"), weights_only=True))
        _, features = score_and_features(network, as_tensor(photo(64, 64)))
        found = descriptors(network.describe, features, torch.tensor([[20.0, 30.0]]))
    assert found.shape == (1, 64)


def test_no_keypoint_has_no_descriptor(network: Aliked) -> None:
    with torch.inference_mode():
        _, features = score_and_features(network, torch.zeros(1, 3, 40, 40))
        found = descriptors(network.describe, features, torch.zeros(0, 2))
    assert found.shape == (0, 128)
