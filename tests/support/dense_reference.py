"""Splatting straight from the formulas, every pixel against every Gaussian, for any float type."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.splat.rasterise.protocol import PinholeCameras

SH_CONSTANTS = (
    (0.28209479177387814,),
    (-0.4886025119029199, 0.4886025119029199, -0.4886025119029199),
    (
        1.0925484305920792,
        -1.0925484305920792,
        0.31539156525252005,
        -1.0925484305920792,
        0.5462742152960396,
    ),
    (
        -0.5900435899266435,
        2.890611442640554,
        -0.4570457994644658,
        0.3731763325901154,
        -0.4570457994644658,
        1.445305721320277,
        -0.5900435899266435,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseRendering:
    rgb: Tensor
    alpha: Tensor
    depth: Tensor
    """Expected depth."""
    median_depth: Tensor
    closest_to_half: Tensor
    """How close a pixel's transmittance comes to 1/2, before or after any Gaussian."""
    weights: Tensor
    """Sums over the pixels, of each Gaussian."""
    means2d: Tensor
    """Holds its gradient after a backward pass."""
    order: Tensor
    """Indices of the Gaussians in view, nearest first."""
    means2d_by_pixel: Tensor
    """[pixels visible 2]: those of ``order`` once more for each pixel, with their gradients."""

    def absgrad(self) -> Tensor:
        """Summed over the pixels, of each Gaussian."""
        sums = self.means2d_by_pixel.grad.abs().sum(0)
        return torch.zeros_like(self.means2d).index_add(0, self.order, sums)


def render(
    tensors: Sequence[Tensor],
    camera: PinholeCameras,
    *,
    sh_degree: int,
    background: Tensor | None = None,
    antialiased: bool = False,
) -> DenseRendering:
    """Render means, quats, scales, opacities and sh before a background of the same float type."""
    means, quats, scales, opacities, sh = tensors
    width, height = camera.width, camera.height
    pose = torch.as_tensor(camera.camera_from_world).to(means)
    fx, fy, cx, cy = (float(camera.intrinsics[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    rotation, translation = pose[:3, :3], pose[:3, 3]
    x, y, z = (means @ rotation.T + translation).unbind(-1)

    axes = rotations(quats) * scales[:, None, :]
    covariance = rotation @ (axes @ axes.mT) @ rotation.T
    x_limited = z * (x / z).clamp(-(cx + 0.15 * width) / fx, (1.15 * width - cx) / fx)
    y_limited = z * (y / z).clamp(-(cy + 0.15 * height) / fy, (1.15 * height - cy) / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [fx / z, zero, -fx * x_limited / z**2, zero, fy / z, -fy * y_limited / z**2], -1
    ).reshape(-1, 2, 3)
    unblurred = jacobian @ covariance @ jacobian.mT
    covariance_2d = unblurred + 0.3 * torch.eye(2).to(means)
    if antialiased:
        share = torch.linalg.det(unblurred) / torch.linalg.det(covariance_2d)
        opacities = opacities * share.clamp_min(0).sqrt()
    conic = torch.linalg.inv(covariance_2d)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    if means2d.requires_grad:
        means2d.retain_grad()

    sigmas = torch.log(opacities * 255).clamp_min(0).mul(2).sqrt().clamp_max(3.33)
    radii = torch.ceil(sigmas[:, None] * torch.diagonal(covariance_2d, dim1=1, dim2=2).sqrt())
    size = torch.tensor([width, height]).to(means)
    seen = (
        (z >= 0.01)
        & (z <= 1e10)
        & (z >= covariance[:, 2, 2].sqrt())
        & (opacities >= 1 / 255)
        & (radii > 0).all(1)
        & (means2d + radii > 0).all(1)
        & (means2d - radii < size).all(1)
    )
    order = torch.where(seen)[0]
    order = order[torch.argsort(z[order].detach(), stable=True)]

    colours = colour(sh, sh_degree, means + rotation.T @ translation)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([columns, rows], -1).reshape(-1, 1, 2).to(means) + 0.5
    # A copy of every Gaussian for every pixel, so that a backward pass leaves what each adds.
    means2d_by_pixel = means2d[order].expand(len(pixels), -1, -1).clone()
    if means2d_by_pixel.requires_grad:
        means2d_by_pixel.retain_grad()
    offset = means2d_by_pixel - pixels
    exponent = 0.5 * torch.einsum("pni,nij,pnj->pn", offset, conic[order], offset)
    alpha = (opacities[order] * torch.exp(-exponent)).clamp_max(0.999)
    alpha = torch.where(alpha < 1 / 255, 0, alpha)
    after = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(after[:, :1]), after], 1)[:, :-1]
    drawn = after > 1e-4  # once false, false for all behind
    weights = torch.where(drawn, alpha * before, 0)
    image = weights @ colours[order]
    total = weights.sum(1)
    depth = weights @ z[order] / total.clamp_min(1e-10)
    # The first Gaussian behind which less than half of the light is left.
    crossed = drawn & (after <= 0.5)
    first = torch.where(crossed.any(1), crossed.int().cumsum(1).eq(0).sum(1), len(order))
    median_depth = torch.cat([z[order], z.new_zeros(1)])[first]
    closest_to_half = torch.cat([after, after.new_zeros(len(after), 1)], 1).sub(0.5).abs().amin(1)
    if background is not None:
        colours = background.to(means).reshape(-1, 3)  # one, or each pixel's
        image = image + (1 - total)[:, None] * colours
    return DenseRendering(
        rgb=image.reshape(height, width, 3),
        alpha=total.reshape(height, width),
        depth=depth.reshape(height, width),
        median_depth=median_depth.detach().reshape(height, width),
        closest_to_half=closest_to_half.detach().reshape(height, width),
        weights=torch.zeros_like(z).index_add(0, order, weights.sum(0)).detach(),
        means2d=means2d,
        order=order,
        means2d_by_pixel=means2d_by_pixel,
    )


def rotations(quats: Tensor) -> Tensor:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def colour(sh: Tensor, degree: int, from_camera: Tensor) -> Tensor:
    x, y, z = torch.nn.functional.normalize(from_camera, dim=-1).unbind(-1)
    one = torch.ones_like(x)
    polynomials = (
        (one,),
        (y, z, x),
        (x * y, y * z, 2 * z * z - x * x - y * y, x * z, x * x - y * y),
        (
            y * (3 * x * x - y * y),
            x * y * z,
            y * (4 * z * z - x * x - y * y),
            z * (2 * z * z - 3 * x * x - 3 * y * y),
            x * (4 * z * z - x * x - y * y),
            z * (x * x - y * y),
            x * (x * x - 3 * y * y),
        ),
    )
    basis = torch.stack(
        [
            constant * polynomial
            for band in range(degree + 1)
            for constant, polynomial in zip(SH_CONSTANTS[band], polynomials[band], strict=True)
        ],
        -1,
    )
    return (torch.einsum("nk,nkc->nc", basis, sh[:, : basis.shape[1]]) + 0.5).clamp_min(0)
