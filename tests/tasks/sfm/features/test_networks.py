"""Features of photos and matches of pairs, in the photos' own pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from tasks.errors import InputError
from tasks.sfm.features.aliked import Aliked
from tasks.sfm.features.config import LEAST_SCORE
from tasks.sfm.features.exchange import Extraction, Matching, PhotoFeatures
from tasks.sfm.features.networks import extract, load_aliked, load_lightglue, match_pair
from tasks.sfm.features.sift import sift_features
from tests.support.polygons import photo
from tests.support.published_networks import published, weights
from tests.support.small_matcher import small_matcher

WIDTH, HEIGHT = 160, 120


def extraction(long_side: int = 2 * WIDTH, file: Path | None = None, most: int = 300) -> Extraction:
    return Extraction(
        max_keypoints=most,
        detection_threshold=0.05,
        long_side=long_side,
        weights=str(file or weights("aliked-n16rot.pth")),
        weights_digest="",
    )


@pytest.fixture(scope="module")
def network() -> Aliked:
    return load_aliked(extraction(), "cpu")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return photo(WIDTH, HEIGHT, count=400)


def nearest(one: np.ndarray, other: np.ndarray, within: float) -> np.ndarray:
    """From each position to the nearest of the others, where there is one, px."""
    away, at = cKDTree(other).query(one)
    return (other[at] - one)[away < within]


def test_a_photo_of_twice_the_size_has_its_keypoints_at_twice_the_place(
    network: Aliked, pixels: np.ndarray
) -> None:
    """Each pixel is four: x to 2 x where corners of pixels are whole; with whole centres they would
    be half a pixel away."""
    double = pixels.repeat(2, axis=0).repeat(2, axis=1)
    small = extract(network, pixels, None, extraction())
    large = extract(network, double, None, extraction())
    assert large.size == (2 * WIDTH, 2 * HEIGHT)
    step = nearest(2 * small.xy, large.xy, within=1.0)
    assert len(step) > 0.5 * len(small.xy) > 20
    np.testing.assert_allclose(np.median(step, axis=0), 0.0, atol=0.1)


def test_every_keypoint_lies_where_the_mask_allows_it(network: Aliked, pixels: np.ndarray) -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[40:100, 30:90] = True
    found = extract(network, pixels, mask, extraction())
    column, row = found.xy.astype(int).T
    assert len(found.xy) > 10
    assert mask[row, column].all()
    assert len(found.descriptors) == len(found.strength) == len(found.xy)


def test_a_mask_leaves_room_for_weaker_keypoints(network: Aliked, pixels: np.ndarray) -> None:
    whole = extract(network, pixels, None, extraction(most=20))
    column, row = whole.xy.astype(int).T
    mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    for x, y in zip(column[:10], row[:10], strict=True):
        mask[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = False
    assert len(extract(network, pixels, mask, extraction(most=20)).xy) == 20


def test_a_photo_of_one_colour_or_too_narrow_has_no_keypoints(network: Aliked) -> None:
    for shape in ((40, 60, 3), (2, 160, 3), (1, 1, 3)):
        found = extract(network, np.full(shape, 90, dtype=np.uint8), None, extraction(200))
        assert found.xy.shape == (0, 2)
        assert found.descriptors.shape == (0, 128)


def test_matches_of_a_moved_photo_are_right(network: Aliked) -> None:
    """One turned by 10 degrees and made smaller, so that places are known."""
    turn = 0.9 * np.array([[0.985, -0.174], [0.174, 0.985]])

    def warp(xy: np.ndarray) -> np.ndarray:
        return (xy - (WIDTH, HEIGHT) + (80, 60)) @ turn.T + (75, 62)

    matcher = load_lightglue(
        Matching(
            precision="float32", weights=str(weights("aliked_lightglue.pth")), weights_digest=""
        ),
        "cpu",
    )
    one = extract(network, photo(WIDTH, HEIGHT, count=400), None, extraction())
    other = extract(network, photo(WIDTH, HEIGHT, count=400, warp=warp), None, extraction())
    found = match_pair(matcher, one, other).at_least(0.3)
    assert len(found.indices) > 30
    away = warp(one.xy[found.indices[:, 0]]) - other.xy[found.indices[:, 1]]
    assert np.mean(np.linalg.norm(away, axis=1) < 1.5) > 0.95
    assert len(np.unique(found.indices[:, 1])) == len(found.indices)


def sift_photo(seed: int, count: int = 30) -> PhotoFeatures:
    rng = np.random.default_rng(seed)
    keypoints = np.concatenate(
        [
            rng.uniform(5, 100, (count, 2)),
            rng.uniform(1, 9, (count, 1)),
            rng.uniform(-3, 3, (count, 1)),
        ],
        axis=1,
    )
    return sift_features(keypoints, rng.integers(0, 90, (count, 128)).astype(np.uint8), (110, 105))


def test_sift_with_scale_and_angle_is_matched_as_by_lightglue_s_authors(tmp_path: Path) -> None:
    file = small_matcher(tmp_path / "sift.pth", places=4)
    matcher = load_lightglue(
        Matching(precision="float32", weights=str(file), weights_digest=""), "cpu"
    )
    one, other = sift_photo(1), sift_photo(2)
    assert one.scale_and_angle is not None
    shuffled = replace(one, scale_and_angle=one.scale_and_angle[::-1].copy())
    for pair in ((one, one), (one, shuffled), (one, other)):
        found = match_pair(matcher, *pair)
        with published() as load, torch.inference_mode():
            theirs = load("lightglue").LightGlue(
                features=None,
                input_dim=128,
                descriptor_dim=8,
                n_layers=2,
                num_heads=2,
                add_scale_ori=True,
                filter_threshold=LEAST_SCORE,
            )
            theirs.load_state_dict(torch.load(file, weights_only=True), strict=False)
            result = theirs.eval()({f"image{i}": as_theirs(part) for i, part in enumerate(pair)})
        assert found.indices.tolist() == result["matches"][0].tolist()
        np.testing.assert_allclose(found.scores, result["scores"][0], atol=1e-4)
    assert len(match_pair(matcher, one, one).indices) > 0


def as_theirs(photo: PhotoFeatures) -> dict[str, torch.Tensor]:
    assert photo.scale_and_angle is not None
    scale, angle = torch.from_numpy(photo.scale_and_angle).T
    return {
        "keypoints": torch.from_numpy(photo.xy)[None] - 0.5,
        "descriptors": torch.from_numpy(photo.descriptors)[None].float(),
        "image_size": torch.tensor([photo.size]).float(),
        "scales": scale[None],
        "oris": angle[None],
    }


def test_weights_for_other_features_are_refused(tmp_path: Path) -> None:
    file = small_matcher(tmp_path / "plain.pth", places=2)
    matcher = load_lightglue(
        Matching(precision="float32", weights=str(file), weights_digest=""), "cpu"
    )
    with pytest.raises(InputError, match="positions of 2, the features have 128 and 4"):
        match_pair(matcher, sift_photo(1), sift_photo(2))


def test_a_file_that_holds_no_such_network_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"broken\.pth' does not hold weights of ALIKED"):
        load_aliked(extraction(file=broken), "cpu")
    with pytest.raises(InputError, match="does not hold weights of ALIKED"):
        load_aliked(extraction(file=weights("aliked_lightglue.pth")), "cpu")


def test_colmap_s_affine_shape_gives_scale_and_angle() -> None:
    scale, angle = 3.0, 0.7
    a11, a21 = scale * np.cos(angle), scale * np.sin(angle)
    plain = np.array([[4.5, 6.5, scale, angle]])
    affine = np.array([[4.5, 6.5, a11, -a21, a21, a11]])
    looks = np.full((1, 128), 45, dtype=np.uint8)
    for keypoints in (plain, affine):
        found = sift_features(keypoints, looks, (10, 10))
        assert found.scale_and_angle is not None
        np.testing.assert_allclose(found.scale_and_angle, [[scale, angle]], rtol=1e-6)
        np.testing.assert_allclose(found.xy, [[4.5, 6.5]])
        np.testing.assert_allclose(np.linalg.norm(found.descriptors.astype(float)), 1.0, rtol=1e-3)
