"""Depth maps of surfaces of known depth, and unknown depth without evidence."""

import numpy as np
import pytest

from tasks.depth.depth_maps import DepthMap, depth_maps
from tasks.depth.neighbours import SparsePoints
from tests.support.planes_seen import CAMERAS, CENTRES, CONFIG, photographs, sparse_on
from tests.support.textured_planes import (
    FACING,
    HEIGHT,
    SLANTED,
    WIDTH,
    Plane,
    cameras_at,
    depth_of,
)


def relative_errors(maps: list[DepthMap], plane: Plane, cameras=CAMERAS) -> np.ndarray:
    """Of all known depths."""
    return np.concatenate(
        [
            (found.depth / depth_of(plane, cameras, index) - 1)[found.depth > 0]
            for index, found in enumerate(maps)
        ]
    )


def share_known(maps: list[DepthMap]) -> float:
    return float(np.mean([np.mean(found.depth > 0) for found in maps]))


@pytest.mark.parametrize("plane", [FACING, SLANTED], ids=["facing", "slanted"])
def test_the_depth_of_a_plane_is_recovered(plane: Plane) -> None:
    maps = depth_maps(CAMERAS, photographs(plane, CAMERAS), sparse_on(plane, CAMERAS), CONFIG)

    errors = np.abs(relative_errors(maps, plane))
    assert share_known(maps) > 0.7
    assert np.median(errors) < 0.002
    assert np.quantile(errors, 0.99) < 0.02


def test_confidence_is_positive_exactly_where_depth_is_known() -> None:
    maps = depth_maps(CAMERAS, photographs(FACING, CAMERAS), sparse_on(FACING, CAMERAS), CONFIG)

    for found in maps:
        np.testing.assert_array_equal(found.confidence > 0, found.depth > 0)
        assert found.confidence.max() <= 1
        assert found.depth.shape == (HEIGHT, WIDTH)


def test_photos_of_the_coarsest_size_need_no_finer_level() -> None:
    config = CONFIG.model_copy(update={"coarse_size": max(WIDTH, HEIGHT)})
    maps, again = (
        depth_maps(CAMERAS, photographs(FACING, CAMERAS), sparse_on(FACING, CAMERAS), config)
        for _ in range(2)
    )

    assert share_known(maps) > 0.7
    assert np.median(np.abs(relative_errors(maps, FACING))) < 0.004
    for one, other in zip(maps, again, strict=True):
        np.testing.assert_array_equal(one.depth, other.depth)


def test_two_photos_are_enough_for_depth() -> None:
    pair = CAMERAS.select([0, 1])

    maps = depth_maps(pair, photographs(SLANTED, pair), sparse_on(SLANTED, pair), CONFIG)

    assert share_known(maps) > 0.5
    assert np.median(np.abs(relative_errors(maps, SLANTED, pair))) < 0.004


def test_photos_that_share_no_points_have_no_depth() -> None:
    sparse = sparse_on(FACING, CAMERAS)
    own = sparse.point_index % len(CAMERAS) == sparse.photo_index  # each point in one photo
    unshared = SparsePoints(
        points=sparse.points,
        point_index=sparse.point_index[own],
        photo_index=sparse.photo_index[own],
    )

    maps = depth_maps(CAMERAS, photographs(FACING, CAMERAS), unshared, CONFIG)

    assert share_known(maps) == 0


def test_photos_without_texture_have_no_depth() -> None:
    random = np.random.default_rng(0)
    photos = [
        random.integers(127, 130, (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(len(CAMERAS))
    ]

    maps = depth_maps(CAMERAS, photos, sparse_on(FACING, CAMERAS), CONFIG)

    assert share_known(maps) == 0


def test_photos_of_different_scenes_give_almost_no_depth() -> None:
    random = np.random.default_rng(1)
    photos = [
        random.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(len(CAMERAS))
    ]

    maps = depth_maps(CAMERAS, photos, sparse_on(FACING, CAMERAS), CONFIG)

    assert share_known(maps) < 0.01


def test_masked_pixels_have_no_depth_and_are_not_matched() -> None:
    photos = photographs(FACING, CAMERAS)
    masks = [np.ones((HEIGHT, WIDTH), bool) for _ in photos]
    masks[1][:, : WIDTH // 3] = False
    spoilt = [photo.copy() for photo in photos]
    spoilt[1][~masks[1]] = np.random.default_rng(2).integers(0, 256, 3)
    sparse = sparse_on(FACING, CAMERAS)

    maps = depth_maps(CAMERAS, spoilt, sparse, CONFIG, masks=masks)

    clean = depth_maps(CAMERAS, photos, sparse, CONFIG, masks=masks)
    assert not maps[1].depth[~masks[1]].any()
    assert share_known(maps) > 0.5
    for found, expected in zip(maps, clean, strict=True):
        both = (found.depth > 0) & (expected.depth > 0)
        assert both.sum() > 0.95 * (expected.depth > 0).sum()
        # Resampling to the coarse size mixes colours across the mask's edge.
        ratio = found.depth[both] / expected.depth[both]
        assert np.mean(np.abs(ratio - 1) < 0.005) > 0.98


def test_photos_may_differ_in_size() -> None:
    sizes = np.tile(np.array([[WIDTH, HEIGHT]]), (len(CAMERAS), 1))
    sizes[1] += [11, 9]
    sizes[3] -= [13, 8]
    cameras = CAMERAS.resized(sizes.astype(np.int64))

    maps = depth_maps(cameras, photographs(SLANTED, cameras), sparse_on(SLANTED, cameras), CONFIG)

    assert [found.depth.shape for found in maps] == [tuple(size[::-1]) for size in sizes.tolist()]
    assert share_known(maps) > 0.6
    assert np.median(np.abs(relative_errors(maps, SLANTED, cameras))) < 0.003


def test_the_edge_of_a_nearer_surface_stays_sharp() -> None:
    """A wall at half the distance hides what lies left of x = 0 on it."""
    near, far = Plane(normal=np.array([0.0, 0.0, 1.0]), offset=2.0), FACING
    photos, truths = [], []
    for index, (x, _, z) in enumerate(CENTRES):
        depth = depth_of(near, CAMERAS, index)
        columns = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / CAMERAS.intrinsics[index, 0, 0]
        hidden = x + columns * (2.0 - z) < 0
        of_near, of_far = (photographs(plane, CAMERAS)[index] for plane in (near, far))
        photos.append(np.where(hidden[None, :, None], of_near, of_far))
        truths.append(np.where(hidden[None], depth, depth_of(far, CAMERAS, index)))
    one, other = sparse_on(near, CAMERAS), sparse_on(far, CAMERAS)
    sparse = SparsePoints(
        points=np.concatenate([one.points, other.points]),
        point_index=np.concatenate([one.point_index, other.point_index + len(one.points)]).astype(
            np.int32
        ),
        photo_index=np.concatenate([one.photo_index, other.photo_index]),
    )

    maps = depth_maps(CAMERAS, photos, sparse, CONFIG)

    off = np.concatenate(
        [
            np.abs(found.depth / truth - 1)[found.depth > 0]
            for found, truth in zip(maps, truths, strict=True)
        ]
    )
    assert share_known(maps) > 0.5
    assert np.median(off) < 0.003
    assert np.mean(off > 0.05) < 0.05


def test_photos_taken_from_one_place_give_no_depth() -> None:
    """Photos taken from one place say nothing about depth."""
    cameras = cameras_at([(0.0, 0.0, 0.0)] * 4)

    maps = depth_maps(cameras, photographs(FACING, cameras), sparse_on(FACING, cameras), CONFIG)

    assert share_known(maps) == 0
