"""The residual network before training, on any size, in tiles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tasks.refine.photos.features import MAPS, Features, features_of
from tasks.refine.photos.reproject import reproject
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.refine import refine, tiled
from tests.support.view_batches import a_batch, noise

SMALL = NetworkConfig(widths=(4, 6, 4))


def some_features(height: int, width: int, count: int = 1) -> Features:
    return Features(
        pictures=noise(count, 6, 3, height, width),
        valid=noise(count, 4, height, width, seed=1),
        maps=2 * noise(count, MAPS, height, width, seed=2) - 1,
    )


def a_network(config: NetworkConfig = SMALL) -> ResidualNetwork:
    """No weight is 0, as after training."""
    network = ResidualNetwork(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.2 * torch.randn(weights.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (7, 5), (1, 1)])
def test_an_untrained_network_predicts_the_reproject_image(size: tuple[int, int]) -> None:
    features = some_features(*size)

    found = ResidualNetwork(SMALL)(features)

    np.testing.assert_array_equal(found.image.detach(), features.pictures[:, 1])
    np.testing.assert_array_equal(found.log_error.detach(), found.render_log_error.detach())


def test_an_untrained_network_leaves_the_render() -> None:
    views = a_batch(render=noise(1, 40, 56, 3, seed=8))

    found = refine(ResidualNetwork(NetworkConfig()), views)

    np.testing.assert_array_equal(found.image, views.render)
    np.testing.assert_array_equal(found.weight, 0)


def with_errors(log_error: float, render_log_error: float) -> ResidualNetwork:
    """Gives what reproject gives, and says so of its errors."""
    network = ResidualNetwork(SMALL)
    with torch.no_grad():
        network.head.bias[-8:-4] = log_error + 3
        network.head.bias[-4:] = render_log_error + 3
    return network


def test_refinement_is_full_where_its_predicted_error_is_clearly_smaller() -> None:
    views = a_batch()

    found = refine(with_errors(-3.5, -3.0), views)

    np.testing.assert_array_equal(found.image, reproject(views, SMALL.reproject).image)
    np.testing.assert_array_equal(found.weight, 1)


def test_refinement_is_half_where_its_predicted_error_is_hardly_smaller() -> None:
    views = a_batch()

    found = refine(with_errors(-3.025, -3.0), views)

    full = reproject(views, SMALL.reproject).image
    np.testing.assert_allclose(found.image, (views.render + full) / 2, atol=1e-4)


def test_refinement_with_a_larger_predicted_error_is_rejected() -> None:
    views = a_batch()

    found = refine(with_errors(-2.0, -3.0), views)

    np.testing.assert_array_equal(found.image, views.render)
    np.testing.assert_array_equal(found.weight, 0)


def test_no_pixel_depends_on_pixels_beyond_the_receptive_field() -> None:
    network = a_network()
    first, last = 11 * network.stride, 11 * network.stride + 5
    features = some_features(200, 200)
    for planes in (features.pictures, features.valid, features.maps):
        planes.requires_grad_()

    found = network(features)
    inner = (..., slice(first, last), slice(first, last))
    (found.image[inner].sum() + found.log_error[inner].sum()).backward()

    near = slice(first - network.reach, last + network.reach)
    for planes in (features.pictures, features.valid, features.maps):
        gradient = planes.grad.clone()
        assert gradient[..., near, near].abs().max() > 0
        gradient[..., near, near] = 0
        assert gradient.abs().max() == 0


@pytest.mark.parametrize("edge", [8, 64, 100, 1000])
def test_tiled_refinement_equals_the_whole_view(edge: int) -> None:
    network, features = a_network(), some_features(203, 117)

    with torch.inference_mode():
        found, expected = tiled(network, features, edge), network(features)

    assert expected.image.std() > 0.1
    for name in ("image", "log_error", "render_log_error"):
        # Convolutions of another size may add in another order: relative rounding, too.
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-5, atol=2e-5
        )


def test_a_stride_aligned_crop_equals_the_whole_away_from_its_border() -> None:
    network, features = a_network(), some_features(208, 216)
    cut = 2 * network.stride

    with torch.inference_mode():
        whole = network(features)
        part = network(features.map(lambda planes: planes[..., cut:, cut:]))

    inner = slice(cut + network.reach, None)
    np.testing.assert_allclose(
        part.image[..., network.reach :, network.reach :], whole.image[..., inner, inner], atol=2e-5
    )


def test_views_of_a_batch_are_independent() -> None:
    network, views = a_network(), a_batch(count=2, swept_cost=0.1 * noise(2, 40, 56, seed=3))

    joint = refine(network, views)

    second = {name: getattr(views, name)[1:] for name in type(views).__slots__}
    alone = refine(network, replace(views, **second))
    # The share that is taken is as steep as 20 a unit of what the network says.
    np.testing.assert_allclose(joint.image[1], alone.image[0], atol=1e-4)
    np.testing.assert_allclose(joint.weight[1], alone.weight[0], atol=1e-3)


def test_images_and_weights_stay_in_range() -> None:
    found = refine(a_network(), a_batch())

    for values in (found.image, found.weight):
        assert values.min() >= 0
        assert values.max() <= 1


def test_the_default_network_is_small_and_cheap_on_two_cores() -> None:
    with torch.device("meta"):
        network = ResidualNetwork(NetworkConfig())
        features = features_of_nothing(640, 960)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(features)

    assert sum(weights.numel() for weights in network.parameters()) * 4 < 8e6
    assert counter.get_total_flops() < 150e9


def features_of_nothing(height: int, width: int) -> Features:
    return Features(
        pictures=torch.empty(1, 6, 3, height, width),
        valid=torch.empty(1, 4, height, width),
        maps=torch.empty(1, MAPS, height, width),
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_half_precision_on_cuda_is_close_to_the_cpu() -> None:
    network, views = a_network(), a_batch(count=2)

    on_cpu = refine(network, views)
    on_cuda = refine(network.cuda(), views.to(torch.device("cuda")))

    np.testing.assert_allclose(on_cuda.image.cpu(), on_cpu.image, atol=0.02)


def test_view_features_match_the_network_input() -> None:
    views = a_batch(count=2)
    found = a_network()(features_of(views, SMALL))
    assert found.image.shape == (2, 3, 40, 56)
