"""The fused loss against convolutions in float64."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from tasks.splat.train.loss import _loss_by_convolution, photometric_loss, prepare_target


def loss_in_float64(
    rendered: Tensor, photo: Tensor, ssim_weight: float, weight: Tensor | None = None
) -> Tensor:
    """The formulas as the papers write them, with one two-dimensional window."""
    if weight is None:
        weight = torch.ones(rendered.shape[:2], dtype=torch.float64)
    seen = (weight > 0)[..., None]
    rendered, photo = rendered * seen, photo * seen
    distance = torch.arange(-5, 6).double()
    line = torch.exp(-(distance**2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2

    def mean(image: Tensor) -> Tensor:
        planes = image.permute(2, 0, 1)[:, None]
        return torch.nn.functional.conv2d(planes, window[None, None], padding=5)

    mean_x, mean_y = mean(rendered), mean(photo)
    variance_x = mean(rendered**2) - mean_x**2
    variance_y = mean(photo**2) - mean_y**2
    covariance = mean(rendered * photo) - mean_x * mean_y
    ssim = ((2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)) / (
        (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    )
    l1 = ((rendered - photo).abs() * weight[..., None]).mean()
    return (1 - ssim_weight) * l1 + ssim_weight * ((1 - ssim) * weight).mean()


def images(height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * width)
    photo = torch.rand(height, width, 3, generator=generator)
    noise = torch.randn(height, width, 3, generator=generator)
    return photo + 0.2 * noise, photo


@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (11, 11), (37, 50)])
def test_loss_and_gradient_match_float64(size: tuple[int, int], ssim_weight: float) -> None:
    rendered, photo = images(*size)
    exact = rendered.double().requires_grad_()
    expected = loss_in_float64(exact, photo.double(), ssim_weight)
    expected.backward()

    rendered.requires_grad_()
    found = photometric_loss(rendered, prepare_target(photo), ssim_weight=ssim_weight)
    (3 * found).backward()

    assert found.item() == pytest.approx(expected.item(), rel=2e-6)
    assert (rendered.grad / 3 - exact.grad).norm() < 1e-5 * exact.grad.norm()


def weights(height: int, width: int) -> Tensor:
    """Anything from 0 to 1, with a hole and a frame of zeros on one side."""
    weight = torch.rand(height, width, generator=torch.Generator().manual_seed(height))
    weight[height // 3 : height // 2, width // 4 : width // 2] = 0
    weight[:, : width // 8] = 0
    return weight


@pytest.mark.parametrize("by_kernels", [True, False])
@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (37, 50)])
def test_weighted_loss_and_gradient_match_float64(
    size: tuple[int, int], ssim_weight: float, by_kernels: bool
) -> None:
    rendered, photo = images(*size)
    weight = weights(*size)
    exact = rendered.double().requires_grad_()
    expected = loss_in_float64(exact, photo.double(), ssim_weight, weight.double())
    expected.backward()

    rendered.requires_grad_()
    target = prepare_target(photo, weight)
    if by_kernels:
        found = photometric_loss(rendered, target, ssim_weight=ssim_weight)
    else:
        seen = rendered * (weight > 0)[..., None]
        found = _loss_by_convolution(seen, target, ssim_weight)
    (3 * found).backward()

    assert found.item() == pytest.approx(expected.item(), rel=2e-6)
    assert (rendered.grad / 3 - exact.grad).norm() < 1e-5 * exact.grad.norm()


def test_pixels_of_weight_0_do_not_affect_the_loss() -> None:
    rendered, photo = images(37, 50)
    weight = weights(37, 50)
    hidden = weight == 0
    losses, gradients = [], []
    for value in (0.0, 1.0):
        shown, other = rendered.clone(), photo.clone()
        shown[hidden], other[hidden] = value, 1 - value
        shown.requires_grad_()
        loss = photometric_loss(shown, prepare_target(other, weight), ssim_weight=0.2)
        loss.backward()
        losses.append(loss.item())
        gradients.append(shown.grad)
    assert losses[0] == losses[1]
    assert torch.equal(gradients[0], gradients[1])
    assert not gradients[0][hidden].any()


def test_weights_of_1_do_not_change_the_loss() -> None:
    rendered, photo = images(37, 50)
    plain = photometric_loss(rendered, prepare_target(photo), ssim_weight=0.2)
    target = prepare_target(photo, torch.ones(37, 50))
    assert photometric_loss(rendered, target, ssim_weight=0.2).item() == pytest.approx(
        plain.item(), rel=1e-6
    )


@pytest.mark.parametrize("size", [(1, 1), (37, 50)])
def test_the_torch_implementation_gives_the_same_loss(size: tuple[int, int]) -> None:
    rendered, photo = images(*size)
    exact = rendered.double().requires_grad_()
    expected = loss_in_float64(exact, photo.double(), 0.2)
    expected.backward()

    rendered.requires_grad_()
    found = _loss_by_convolution(rendered, prepare_target(photo), 0.2)
    found.backward()

    assert found.item() == pytest.approx(expected.item(), rel=2e-6)
    assert (rendered.grad - exact.grad).norm() < 1e-5 * exact.grad.norm()


def test_ssim_away_from_the_border_matches_scikit_image() -> None:
    """With zeros outside, borders differ; constant frames around the content do away with that."""
    rendered, photo = images(30, 34)
    framed = [torch.zeros(50, 54, 3) for _ in range(2)]
    for frame, image in zip(framed, (rendered, photo), strict=True):
        frame[10:40, 10:44] = image

    found = 1 - photometric_loss(framed[0], prepare_target(framed[1]), ssim_weight=1.0)

    _, similarity = structural_similarity(
        *(frame.double().numpy() for frame in framed),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=2,
        full=True,
    )
    assert found.item() == pytest.approx(np.mean(similarity), abs=1e-5)


def test_equal_images_have_zero_loss() -> None:
    _, photo = images(20, 30)
    rendered = photo.clone().requires_grad_()
    loss = photometric_loss(rendered, prepare_target(photo), ssim_weight=0.2)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert rendered.grad.abs().max() < 1e-6


def test_a_render_that_is_a_strided_view_is_read_correctly() -> None:
    rendered, photo = images(20, 30)
    planes = rendered.permute(2, 0, 1).contiguous()
    target = prepare_target(photo.permute(2, 0, 1).contiguous().permute(1, 2, 0))
    expected = photometric_loss(rendered, prepare_target(photo), ssim_weight=0.2)
    assert photometric_loss(planes.permute(1, 2, 0), target, ssim_weight=0.2) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_cuda_and_cpu_losses_agree() -> None:
    rendered, photo = images(37, 50)
    expected = photometric_loss(rendered, prepare_target(photo), ssim_weight=0.2)
    found = photometric_loss(rendered.cuda(), prepare_target(photo.cuda()), ssim_weight=0.2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
