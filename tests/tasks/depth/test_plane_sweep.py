"""Plane sweeps find surfaces of known depth, and both implementations agree."""

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from tasks.depth.config import SweepConfig
from tasks.depth.plane_sweep import plane_sweep
from tasks.depth.plane_sweep_kernels import median
from tasks.depth.plane_sweep_torch import plane_sweep_torch
from tasks.depth.sweep import Swept
from tests.support.textured_planes import (
    FACING,
    FOCAL,
    HEIGHT,
    SLANTED,
    SOURCES,
    VIEW,
    WIDTH,
    Plane,
    cameras_at,
    depth_of,
    photograph,
)

INNER = (slice(8, -8), slice(8, -8))
"""Pixels whose windows all photos see."""


def swept(plane: Plane, start: np.ndarray, config: SweepConfig | None = None) -> Swept:
    photos = [photograph(plane, SOURCES, index) for index in range(len(SOURCES))]
    return plane_sweep(start, VIEW, photos, SOURCES, config or SweepConfig())


@pytest.mark.parametrize("plane", [FACING, SLANTED], ids=["facing", "slanted"])
@pytest.mark.parametrize("error", [0.88, 1.0, 1.15])
def test_the_sweep_finds_the_true_depth_from_a_wrong_start(plane: Plane, error: float) -> None:
    truth = depth_of(plane, VIEW, 0)

    found = swept(plane, truth * np.float32(error))

    off = np.abs(found.depth / truth - 1)[INNER]
    assert np.median(off) < 0.008  # a step is 0.01
    assert np.mean(off < 0.025) > 0.95
    assert np.median(found.cost[INNER]) < 0.03


def test_photos_warped_by_the_swept_depth_match_the_view() -> None:
    truth = depth_of(SLANTED, VIEW, 0)

    found = swept(SLANTED, truth * np.float32(1.1))

    seen = photograph(SLANTED, VIEW, 0)
    for index in range(len(SOURCES)):
        shown = found.valid[index] == 1
        assert shown.mean() > 0.8
        assert np.abs(found.warped[index] - seen)[shown].mean() < 0.03


def test_a_start_outside_the_search_range_keeps_a_high_cost() -> None:
    truth = depth_of(FACING, VIEW, 0)

    found = swept(FACING, truth * np.float32(1.8))

    right = swept(FACING, truth)
    assert np.median(found.cost[INNER]) > 4 * np.median(right.cost[INNER])


def test_validity_matches_the_projected_geometry() -> None:
    moved = 0.8  # world units to the right: a fourth of the picture at depth 3
    sources = cameras_at([(moved, 0.0, 0.0)] * 2)
    view = cameras_at([(0.0, 0.0, 0.0)])
    photos = [np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)] * 2
    start = np.full((HEIGHT, WIDTH), 3.0, np.float32)

    found = plane_sweep(start, view, photos, sources, SweepConfig())

    seen = np.arange(WIDTH) + 0.5 - FOCAL * moved / found.depth >= 0
    np.testing.assert_array_equal(found.valid[0] == 1, seen)
    np.testing.assert_array_equal(found.cost == 1, ~seen)
    np.testing.assert_allclose(found.warped[0][seen], 0.5, atol=1 / 255)
    assert not seen[:, :16].any()  # at no depth tried
    np.testing.assert_array_equal(found.depth[:, 40:], 3.0)  # of equals, the rendered one


def test_a_surface_behind_a_camera_is_not_visible_in_its_photo() -> None:
    sources = cameras_at([(0.0, 0.0, 0.0), (0.1, 0.0, 0.0), (0.0, 0.0, 50.0)])
    photos = [np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)] * 3

    found = plane_sweep(
        np.full((HEIGHT, WIDTH), 3.0, np.float32), VIEW, photos, sources, SweepConfig()
    )

    assert not found.valid[2].any()
    assert found.valid[0].any()


def test_masked_pixels_are_not_valid() -> None:
    photos = [photograph(FACING, SOURCES, index) for index in range(len(SOURCES))]
    masks = [np.ones((HEIGHT, WIDTH), bool) for _ in photos]
    masks[0][:, : WIDTH // 2] = False
    spoilt = [photo.copy() for photo in photos]
    spoilt[0][~masks[0]] = 1.0
    start = depth_of(FACING, VIEW, 0)

    found = plane_sweep(start, VIEW, spoilt, SOURCES, SweepConfig(), masks=masks)

    clean = plane_sweep(start, VIEW, photos, SOURCES, SweepConfig(), masks=masks)
    np.testing.assert_array_equal(found.valid, clean.valid)
    np.testing.assert_array_equal(found.warped[1:], clean.warped[1:])
    assert 0.2 < found.valid[0].mean() < 0.6
    assert found.warped[0].max() < 0.95  # nothing of the white


def test_a_single_photo_leaves_the_depth_unchanged() -> None:
    start = depth_of(SLANTED, VIEW, 0)

    found = plane_sweep(
        start, VIEW, [photograph(SLANTED, SOURCES, 0)], SOURCES.select([0]), SweepConfig()
    )

    np.testing.assert_allclose(found.depth[INNER], start[INNER], rtol=2e-2)  # the median
    assert (found.cost == 1).all()


@pytest.mark.parametrize("radius", [1, 3])
def test_cpu_and_torch_sweeps_agree(radius: int) -> None:
    truth = depth_of(SLANTED, VIEW, 0)
    start = truth * (1 + 0.1 * np.sin(np.arange(WIDTH) / 9)).astype(np.float32)
    photos = [photograph(SLANTED, SOURCES, index) for index in range(len(SOURCES))]
    masks = [np.ones((HEIGHT, WIDTH), bool) for _ in photos]
    masks[1][20:30, 40:60] = False
    config = SweepConfig(radius=radius, planes=31)

    cpu = plane_sweep(start, VIEW, photos, SOURCES, config, masks=masks)

    reference = plane_sweep_torch(
        start, VIEW, photos, SOURCES, config, masks=masks, device=torch.device("cpu")
    )
    same = np.abs(cpu.depth / reference.depth - 1) < 1e-5
    assert same.mean() > 0.99  # the rest are ties
    np.testing.assert_allclose(cpu.cost, reference.cost, atol=5e-3)
    np.testing.assert_array_equal(cpu.valid[:, same], reference.valid[:, same])
    # A position may round to the next sixteenth of a pixel.
    assert np.quantile(np.abs(cpu.warped - reference.warped)[:, same], 0.99) < 1e-4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_and_cpu_sweeps_agree() -> None:
    start = depth_of(SLANTED, VIEW, 0) * np.float32(1.07)
    photos = [photograph(SLANTED, SOURCES, index) for index in range(len(SOURCES))]

    on_cuda = plane_sweep(start, VIEW, photos, SOURCES, SweepConfig(), device="cuda")

    on_cpu = plane_sweep(start, VIEW, photos, SOURCES, SweepConfig())
    assert np.mean(np.abs(on_cuda.depth / on_cpu.depth - 1) < 1e-4) > 0.98


def test_photos_of_other_sizes_are_sampled_up_to_their_own_edges() -> None:
    sizes = np.array([[WIDTH, HEIGHT], [WIDTH - 15, HEIGHT + 9], [WIDTH + 7, HEIGHT - 11]])
    sources = SOURCES.resized(sizes.astype(np.int64))
    photos = [photograph(FACING, sources, index) for index in range(len(sources))]
    truth = depth_of(FACING, VIEW, 0)

    found = plane_sweep(truth, VIEW, photos, sources, SweepConfig())

    seen = photograph(FACING, VIEW, 0)
    for index in range(len(sources)):
        shown = found.valid[index] == 1
        assert np.abs(found.warped[index] - seen)[shown].mean() < 0.04


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_the_median_filter_matches_scipy(radius: int) -> None:
    values = np.random.default_rng(0).normal(size=(23, 31)).astype(np.float32)
    filtered = np.empty_like(values)

    median(values, radius, filtered)

    expected = median_filter(values, 2 * radius + 1, mode="nearest")
    np.testing.assert_array_equal(filtered, expected)
