"""Splatting in plain torch: the same tiles as the kernels, gradients by autograd."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor
from torch.utils.checkpoint import checkpoint

TILE = 16
BLUR = 0.3
MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4


def render(
    means: Float32[Tensor, "n 3"],
    quats: Float32[Tensor, "n 4"],
    scales: Float32[Tensor, "n 3"],
    opacities: Float32[Tensor, " n"],
    sh: Float32[Tensor, "n 16 3"],
    *,
    camera_from_world: Float64[np.ndarray, "4 4"],
    intrinsics: Float64[np.ndarray, "3 3"],
    width: int,
    height: int,
) -> Float32[Tensor, "h w 3"]:
    """The image that ``tasks.splat.rasterise.protocol`` describes, with harmonics of degree 3.

    A tile's products are worked out again in the backward pass instead of kept: 155 million alphas
    at 100k Gaussians, each in half a dozen intermediate results, would take 4 GB.
    """
    fx, fy, cx, cy = (float(intrinsics[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    pose = torch.from_numpy(camera_from_world).to(means)
    rotation, translation = pose[:3, :3], pose[:3, 3]
    x, y, z = (means @ rotation.T + translation).unbind(1)
    x_limited = (x / z).clamp(-(cx + 0.15 * width) / fx, (1.15 * width - cx) / fx)
    y_limited = (y / z).clamp(-(cy + 0.15 * height) / fy, (1.15 * height - cy) / fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [fx / z, zero, -fx * x_limited / z, zero, fy / z, -fy * y_limited / z], 1
    ).reshape(-1, 2, 3)
    axes = jacobian @ rotation @ (_rotations(quats) * scales[:, None])
    xx, xy, yy = (
        (axes[:, i] * axes[:, j]).sum(1) + (BLUR if i == j else 0.0)
        for i, j in ((0, 0), (0, 1), (1, 1))
    )
    det = xx * yy - xy * xy
    u, v = fx * x / z + cx, fy * y / z + cy
    colours = _colours(sh, means + rotation.T @ translation)
    rows = torch.stack([u, v, yy / det, -xy / det, xx / det, opacities, *colours.unbind(1)], 1)

    with torch.no_grad():
        sigmas = torch.log(opacities / MIN_ALPHA).clamp_min(0).mul(2).sqrt().clamp_max(3.33)
        radius = torch.ceil(sigmas * torch.stack([xx, yy]).sqrt())
        seen = (z > 0.01) & (opacities >= MIN_ALPHA)
        seen &= (u + radius[0] > 0) & (u - radius[0] < width)
        seen &= (v + radius[1] > 0) & (v - radius[1] < height)
        order = torch.where(seen)[0]
        order = order[torch.argsort(z[order], stable=True)]
        members, counts = _bin(u[order], v[order], radius[:, order], order, width, height)

    columns, lines = -(-width // TILE), -(-height // TILE)
    across = torch.arange(TILE) + 0.5
    tiles = [
        checkpoint(
            _blend,
            of_tile,
            (across + TILE * (tile % columns))[None, :, None],
            (across + TILE * (tile // columns))[:, None, None],
            use_reentrant=False,
        )
        for tile, of_tile in enumerate(rows[members].split(counts))
    ]
    image = torch.stack(tiles).reshape(lines, columns, TILE, TILE, 3).transpose(1, 2)
    return image.reshape(lines * TILE, columns * TILE, 3)[:height, :width]


def _bin(
    u: Float32[Tensor, " m"],
    v: Float32[Tensor, " m"],
    radius: Float32[Tensor, "2 m"],
    order: Int64[Tensor, " m"],
    width: int,
    height: int,
) -> tuple[Int64[Tensor, " pairs"], list[int]]:
    """Gaussians of each tile that their bounding boxes touch, in order, and how many."""
    columns, lines = -(-width // TILE), -(-height // TILE)

    def tiles_at(position: Tensor, count: int) -> Tensor:
        return (position / TILE).floor().long().clamp(0, count - 1)

    left, right = tiles_at(u - radius[0], columns), tiles_at(u + radius[0], columns)
    top, bottom = tiles_at(v - radius[1], lines), tiles_at(v + radius[1], lines)
    wide = right - left + 1
    many = wide * (bottom - top + 1)
    who = torch.repeat_interleave(torch.arange(len(order)), many)
    number = torch.arange(len(who)) - torch.repeat_interleave(many.cumsum(0) - many, many)
    line, column = top[who] + number // wide[who], left[who] + number % wide[who]
    tile = line * columns + column
    by_tile = torch.argsort(tile, stable=True)
    return order[who[by_tile]], torch.bincount(tile, minlength=columns * lines).tolist()


def _blend(
    rows: Float32[Tensor, "m 9"], x: Float32[Tensor, "1 16 1"], y: Float32[Tensor, "16 1 1"]
) -> Float32[Tensor, "16 16 3"]:
    u, v, xx, xy, yy, opacity, *_ = rows.unbind(1)
    dx, dy = u - x, v - y
    alpha = opacity * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    alpha = torch.where(alpha < MIN_ALPHA, 0, alpha.clamp_max(MAX_ALPHA))
    after = torch.cumprod(1 - alpha, 2)
    before = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], 2)
    return torch.where(after > MIN_TRANSMITTANCE, alpha * before, 0) @ rows[:, 6:]


def _rotations(quats: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 3"]:
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, 1).reshape(-1, 3, 3)


def _colours(
    sh: Float[Tensor, "n 16 3"], from_camera: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2(2), 2013."""
    x, y, z = torch.nn.functional.normalize(from_camera, dim=1).unbind(1)
    xx, yy, zz = x * x, y * y, z * z
    basis = [
        *(0.28209479 * torch.ones_like(x), -0.48860251 * y, 0.48860251 * z, -0.48860251 * x),
        *(1.09254843 * x * y, -1.09254843 * y * z, 0.31539157 * (2 * zz - xx - yy)),
        *(-1.09254843 * x * z, 0.54627421 * (xx - yy)),
        *(-0.59004359 * y * (3 * xx - yy), 2.89061144 * x * y * z),
        *(-0.45704580 * y * (4 * zz - xx - yy), 0.37317633 * z * (2 * zz - 3 * xx - 3 * yy)),
        *(-0.45704580 * x * (4 * zz - xx - yy), 1.44530572 * z * (xx - yy)),
        -0.59004359 * x * (xx - 3 * yy),
    ]
    return (torch.einsum("nk,nkc->nc", torch.stack(basis, 1), sh) + 0.5).clamp_min(0)
