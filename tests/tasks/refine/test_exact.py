"""Refinement on every code path against float64 references, to single precision."""

from collections.abc import Callable
from dataclasses import replace

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

import tasks.refine.cpu.folding
import tasks.refine.cpu.kernels
from tasks.refine.config import GateConfig, Reproject
from tasks.refine.gate import disagreement, gated
from tasks.refine.photos.align import align_photos, fuse, fuse_torch
from tasks.refine.photos.box_filter import box_mean, box_mean_torch
from tasks.refine.photos.colour import ColourChange, colour_change, fit_torch
from tasks.refine.photos.features import features_of
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import ViewBatch
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.refine import refine
from tasks.refine.warm_up import warm_up
from tests.support.in_double import colour_fit, fused, mean_about, reference, said_by
from tests.support.view_batches import noise

SMALL = NetworkConfig(widths=(4, 6, 4))


def random_views(
    seed: int, *, count: int = 1, photos: int = 3, height: int = 37, width: int = 53
) -> ViewBatch:
    """Photos that are nearly the render, in other colours, some of them far off in places."""
    drawn = iter(range(100 * seed, 100 * seed + 100))

    def uniform(*shape: int) -> torch.Tensor:
        return noise(count, *shape, seed=next(drawn))

    truth = uniform(height, width, 3)
    swept = 0.9 * truth[:, None] + 0.05 + 0.1 * (uniform(photos, height, width, 3) - 0.5)
    swept = torch.where(uniform(photos, height, width, 1) > 0.9, 1 - swept, swept)
    depth = 1 + uniform(height, width)
    return ViewBatch(
        render=(truth + 0.3 * (uniform(height, width, 3) - 0.5)).clamp(0, 1),
        depth=depth,
        alpha=uniform(height, width),
        confidence=uniform(height, width),
        warped=swept[:, 0].clone(),
        warped_valid=uniform(height, width),
        nearest=truth,
        swept_depth=depth * (0.8 + 0.4 * uniform(height, width)),
        swept_cost=0.2 * uniform(height, width),
        swept=swept,
        swept_valid=(uniform(photos, height, width) > 0.3).float(),
        surface_gap=0.2 * uniform(height, width),
        surface_error=0.1 * uniform(height, width),
    )


@pytest.mark.parametrize("way", [box_mean, box_mean_torch])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("radius", [0, 1, 7, 16, 100])
def test_box_means_match_the_float64_reference(
    way: Callable[..., torch.Tensor], channels: int, radius: int
) -> None:
    images = noise(2, 61, 43, channels) - 0.5

    found = way(images, radius)

    for index in range(2):
        expected = mean_about(images[index].double().numpy(), radius)
        np.testing.assert_allclose(found[index], expected, atol=1e-6)


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_colour_alignment_matches_the_float64_reference(
    monkeypatch: pytest.MonkeyPatch, anywhere: bool, seed: int
) -> None:
    views = random_views(seed, count=2)
    if anywhere:
        monkeypatch.setattr("tasks.refine.photos.colour._fit_on_cpu", fit_torch)

    found = colour_change(
        views.swept,
        views.render[:, None].expand_as(views.swept),
        views.confidence[:, None],
        views.swept_valid,
    )

    for view in range(2):
        for photo in range(3):
            weight = views.confidence[view] * views.swept_valid[view, photo]
            gain, offset = colour_fit(
                *(
                    values.double().numpy()
                    for values in (views.swept[view, photo], views.render[view], weight)
                )
            )
            np.testing.assert_allclose(found.gain[view, photo], gain, atol=1e-5)
            np.testing.assert_allclose(found.offset[view, photo], offset, atol=1e-5)


@pytest.mark.parametrize("way", [fuse, fuse_torch])
@pytest.mark.parametrize("photos", [1, 2, 5])
def test_fused_photos_match_the_float64_reference(
    way: Callable[..., torch.Tensor], photos: int
) -> None:
    views = random_views(7, count=2, photos=photos, height=35)
    change = ColourChange(
        gain=0.8 + 0.4 * noise(2, photos, 3, seed=1), offset=0.2 * noise(2, photos, 3, seed=2) - 0.1
    )

    found = way(views.swept, views.swept_valid, change)

    for view in range(2):
        gain, offset = (
            v[view, :, None, None].double().numpy() for v in (change.gain, change.offset)
        )
        aligned = np.clip(gain * views.swept[view].double().numpy() + offset, 0, 1)
        expected = fused(aligned, views.swept_valid[view].double().numpy())
        np.testing.assert_allclose(found[view], expected, atol=2e-6)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    photos=st.integers(1, 5),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    radius=st.integers(0, 40),
)
def test_reproject_matches_the_float64_reference(
    seed: int, photos: int, height: int, width: int, radius: int
) -> None:
    views = random_views(seed, count=2, photos=photos, height=height, width=width)
    config = Reproject(detail_radius=radius)

    found = reproject(views, config)

    for index in range(2):
        expected = reference(views, index, config)
        np.testing.assert_allclose(found.image[index], expected.image, atol=1e-5)
        np.testing.assert_allclose(found.weight[index], expected.weight, atol=1e-6)


def test_disagreement_with_the_photos_matches_the_float64_reference() -> None:
    views = random_views(3, count=2)
    config = Reproject()

    found = disagreement(views.nearest, align_photos(views, config.detail_scale))

    for index in range(2):
        expected = reference(views, index, config).disagreement(
            views.nearest[index].double().numpy()
        )
        assert float(found[index]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("photos", [2, 3, 5])
def test_network_input_pictures_match_the_float64_reference(photos: int) -> None:
    views = random_views(5, photos=photos)

    found = features_of(views, NetworkConfig(photos=3)).pictures[0].permute(0, 2, 3, 1)

    known = reference(views, 0, Reproject())
    render = views.render[0].double().numpy()
    valid = views.swept_valid[0].double().numpy()
    expected = [render, known.image]
    shares = [views.warped_valid[0].double().numpy(), *valid]
    for photo, share in zip([known.warped, *known.photos], shares, strict=True):
        expected.append(render + share[..., None] * (photo - render))
    expected += [render] * 3
    np.testing.assert_allclose(found, np.array(expected[:6]), atol=1e-5)


def a_network() -> ResidualNetwork:
    """No weight is 0, as after training."""
    network = ResidualNetwork(SMALL)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.2 * torch.randn(weights.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("size", [(32, 48), (37, 53), (1, 1), (7, 90)])
@pytest.mark.parametrize("gradients", [False, True])
def test_network_outputs_match_the_float64_reference(
    size: tuple[int, int], gradients: bool
) -> None:
    views = random_views(11, count=2, height=size[0], width=size[1])
    network, features = a_network(), features_of(views, SMALL)

    with torch.set_grad_enabled(gradients):
        found = network(features)

    expected = said_by(network, features)
    for name in ("image", "log_error", "render_log_error"):
        of_name = getattr(found, name).detach()
        np.testing.assert_allclose(of_name, getattr(expected, name), rtol=1e-5, atol=5e-5)


def test_residual_refinement_matches_the_float64_reference() -> None:
    views, network = random_views(13, count=2), a_network()

    found = refine(network, views)

    said = said_by(network, features_of(views, SMALL))
    fall = (said.render_log_error - said.log_error).clip(0)
    share = np.minimum(1, fall / 0.05)[..., None]
    image = said.image.transpose(0, 2, 3, 1).clip(0, 1)
    render = views.render.double().numpy()
    assert 0.1 < (share > 0).mean() < 0.9
    # The share is as steep as 20 a unit of what the network says.
    np.testing.assert_allclose(found.image, render + share * (image - render), atol=4e-4)
    np.testing.assert_allclose(found.weight, share[..., 0], atol=1e-3)


def test_the_number_of_threads_changes_no_bit() -> None:
    views, network = random_views(17, height=90), a_network()
    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(threads)
            found.append(refine(network, views))
    finally:
        numba.set_num_threads(before)

    np.testing.assert_array_equal(found[0].image, found[1].image)
    np.testing.assert_array_equal(found[0].weight, found[1].weight)


def test_given_aligned_photos_are_not_aligned_again() -> None:
    views, config = random_views(19), Reproject()
    photos = align_photos(views, config.detail_scale)

    blind = replace(views, swept=torch.full_like(views.swept, torch.nan))
    found = reproject(blind, config, photos)

    np.testing.assert_array_equal(found.image, reproject(views, config).image)


def test_warm_up_compiles_every_kernel_signature_that_refinement_uses() -> None:
    kernels = [
        kernel
        for module in (tasks.refine.cpu.kernels, tasks.refine.cpu.folding)
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher) and kernel.targetoptions.get("parallel")
    ]
    warm_up()
    known = [list(kernel.signatures) for kernel in kernels]
    assert len(kernels) == 10
    assert all(known)

    views = random_views(23, count=2, photos=5)
    gated(views, refine(a_network(), views, tile_edge=16), GateConfig())

    assert [list(kernel.signatures) for kernel in kernels] == known
