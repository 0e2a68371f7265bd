"""Our kernels against gsplat's: its torch functions anywhere, its CUDA kernels on a GPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gsplat.cuda._torch_impl import _fully_fused_projection, _spherical_harmonics

from tasks.splat.rasterise.cpu.harmonics import sh_layout
from tasks.splat.rasterise.cpu.layout import (
    BLUE,
    CONIC_DET,
    CONIC_XX,
    CONIC_YY,
    DEPTH,
    MEAN_X,
    MEAN_Y,
    OPACITY,
    PROJECTED,
    RED,
    Camera,
    Projection,
    SplatArrays,
)
from tasks.splat.rasterise.cpu.project import project
from tasks.splat.rasterise.cpu.rasterise import rasterise
from tasks.splat.rasterise.protocol import RenderOptions
from tasks.splat.rasterise.select import rasteriser_for
from tests.support.dense_reference import rotations
from tests.support.rasteriser_scenes import random_scene, splat_of, stacked, view

WIDTH, HEIGHT = 90, 70
SCENE = random_scene(500, WIDTH, HEIGHT, seed=20)


def test_projection_matches_gsplat() -> None:
    means, quats, scales, _, sh = SCENE.tensors(torch.float32)
    axes = rotations(quats) * scales[:, None, :]
    radii, means2d, depths, conics, _ = _fully_fused_projection(
        means,
        axes @ axes.mT,
        torch.from_numpy(SCENE.view.camera_from_world).float()[None],
        torch.from_numpy(SCENE.view.intrinsics).float()[None],
        WIDTH,
        HEIGHT,
    )

    projected, found_radii = projected_by_kernel(torch.ones(len(means)), sh, degree=0)

    # Ours stop at sqrt(2 ln 255) = 3.3290 sigmas where gsplat's torch code says 3.33.
    assert (found_radii - radii[0].numpy()).min() >= -1
    assert (found_radii - radii[0].numpy()).max() <= 0
    seen = found_radii[:, 0] > 0
    assert seen.sum() > 200
    close = {"rtol": 2e-5, "atol": 1e-5}
    np.testing.assert_allclose(projected[seen, MEAN_X : MEAN_Y + 1], means2d[0][seen], **close)
    np.testing.assert_allclose(projected[seen, CONIC_XX : CONIC_YY + 1], conics[0][seen], **close)
    np.testing.assert_allclose(projected[seen, DEPTH], depths[0][seen], **close)
    xx, xy, yy = conics[0][seen].double().unbind(1)
    np.testing.assert_allclose(projected[seen, CONIC_DET], xx * yy - xy**2, rtol=1e-3)


def test_antialiasing_matches_gsplat() -> None:
    means, quats, scales, _, sh = SCENE.tensors(torch.float32)
    axes = rotations(quats) * scales[:, None, :]
    *_, compensations = _fully_fused_projection(
        means.double(),
        (axes @ axes.mT).double(),
        torch.from_numpy(SCENE.view.camera_from_world)[None],
        torch.from_numpy(SCENE.view.intrinsics)[None],
        WIDTH,
        HEIGHT,
        calc_compensations=True,
    )

    projected, radii = projected_by_kernel(torch.ones(len(means)), sh, degree=0, antialiased=True)

    seen = radii[:, 0] > 0
    assert compensations[0][seen].min() < 0.9
    np.testing.assert_allclose(projected[seen, OPACITY], compensations[0][seen], rtol=2e-4)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_colours_match_gsplat(degree: int) -> None:
    means, _, _, opacities, sh = SCENE.tensors(torch.float32)
    camera_from_world = torch.from_numpy(SCENE.view.camera_from_world).float()
    centre = -camera_from_world[:3, :3].T @ camera_from_world[:3, 3]
    expected = (_spherical_harmonics(degree, means - centre, sh) + 0.5).clamp_min(0)

    projected, radii = projected_by_kernel(opacities, sh, degree=degree)

    seen = radii[:, 0] > 0
    np.testing.assert_allclose(projected[seen, RED : BLUE + 1], expected[seen], atol=2e-6)


def projected_by_kernel(
    opacities: torch.Tensor, sh: torch.Tensor, *, degree: int, antialiased: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    means, quats, scales, _, _ = SCENE.tensors(torch.float32)
    camera_from_world = SCENE.view.camera_from_world.astype(np.float32)
    rotation, translation = camera_from_world[:3, :3].copy(), camera_from_world[:3, 3].copy()
    intrinsics = SCENE.view.intrinsics
    splat = SplatArrays(
        *(tensor.numpy() for tensor in (means, quats, scales, opacities)),
        sh=sh.numpy().reshape(-1),
        sh_rest=sh.numpy().reshape(-1),
    )
    camera = Camera(
        rotation=rotation,
        translation=translation,
        centre=-rotation.T @ translation,
        pinhole=intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]].astype(np.float32),
        width=WIDTH,
        height=HEIGHT,
    )
    projection = Projection(
        projected=np.zeros((len(means), PROJECTED), np.float32),
        radii=np.zeros((len(means), 2), np.int32),
        tile_counts=np.zeros(len(means), np.int32),
    )
    layout = sh_layout(sh.shape[1], 0)
    assert project(splat, layout, camera, degree, antialiased, projection) == 0
    return projection.projected, projection.radii


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("whole", [False, True], ids=["colour", "everything"])
def test_cpu_and_cuda_renders_and_gradients_agree(whole: bool, antialiased: bool) -> None:
    cameras = stacked(SCENE.view, view(WIDTH, HEIGHT, turn_rad=-0.1))
    upstream = torch.randn(2, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))
    results = []
    for rasteriser, device in (
        (rasterise, torch.device("cpu")),
        (rasteriser_for(torch.device("cuda")), torch.device("cuda")),
    ):
        inputs = [tensor.to(device).requires_grad_() for tensor in SCENE.tensors(torch.float32)]
        background = torch.tensor([[0.3, 0.6, 0.1], [0.9, 0.2, 0.5]], device=device)
        if whole:  # a picture
            background = background[:, None, None].repeat(1, HEIGHT, WIDTH, 1)
            background[:, ::2] *= 0.5
        background.requires_grad_()
        poses = torch.from_numpy(cameras.camera_from_world).to(device).requires_grad_()
        found = rasteriser(
            splat_of(inputs),
            replace(cameras, camera_from_world=poses, background_image=background),
            RenderOptions(
                sh_degree=3,
                antialiased=antialiased,
                absgrad=whole,
                with_depth=whole,
                with_median_depth=whole,
                with_weights=whole,
            ),
        )
        objective = (found.rgb * upstream.to(device)).sum() + found.alpha.sum()
        images = [found.rgb, found.alpha]
        if whole:
            objective = objective + (found.alpha.detach() * found.depth).sum()
            images += [found.depth, found.median_depth, found.weights]
        objective.backward()
        moves = torch.stack([poses.grad[c] @ poses[c].detach().T for c in range(2)])[:, :3]
        gradients = [
            *(tensor.grad for tensor in inputs),
            found.means2d.grad,
            background.grad,
            # Only changes that keep a pose rigid are defined.
            moves[:, :, :3] - moves[:, :, :3].mT,
            moves[:, :, 3],
            *([found.means2d.absgrad] if whole else []),
        ]
        results.append(
            ([t.detach().cpu() for t in images], [t.cpu() for t in gradients], found.radii.cpu())
        )
    (images, gradients, radii), (cuda_images, cuda_gradients, cuda_radii) = results
    for ours, theirs in zip(images, cuda_images, strict=True):
        assert ((ours - theirs).abs() > 1e-4 * theirs.abs().clamp_min(1)).float().mean() < 2e-3
    for ours, theirs in zip(gradients, cuda_gradients, strict=True):
        assert (ours - theirs).norm() / theirs.norm() < 1e-3
    assert (radii - cuda_radii).abs().max() <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_packed_projections_give_the_same_renders_and_gradients() -> None:
    cuda = torch.device("cuda")
    cameras = stacked(SCENE.view, view(WIDTH, HEIGHT, turn_rad=-0.1))
    results = []
    for packed in (False, True):
        inputs = [tensor.to(cuda).requires_grad_() for tensor in SCENE.tensors(torch.float32)]
        options = RenderOptions(sh_degree=3, packed=packed, absgrad=True)
        found = rasteriser_for(cuda)(splat_of(inputs), cameras, options)
        found.rgb.square().sum().backward()
        pulls = found.means2d.grad.norm(dim=-1)
        if found.gaussians is None:
            by_gaussian = pulls.sum(0)
        else:
            by_gaussian = torch.zeros(len(inputs[0]), device=cuda)
            by_gaussian.index_add_(0, found.gaussians, pulls)
        results.append([found.rgb.detach(), by_gaussian, *(tensor.grad for tensor in inputs)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
