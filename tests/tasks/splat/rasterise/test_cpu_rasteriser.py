"""The CPU rasteriser against a dense float64 reference, and at its edges."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.errors import InputError
from tasks.splat.rasterise.cpu.rasterise import rasterise
from tasks.splat.rasterise.cpu.warm_up import warm_up
from tasks.splat.rasterise.protocol import (
    PinholeCameras,
    Rendering,
    RenderOptions,
    SplatTensors,
)
from tests.support import dense_reference
from tests.support.rasteriser_scenes import NAMES, Scene, random_scene, splat_of, stacked, view

BACKGROUND = torch.tensor([0.3, 0.6, 0.1])
ROOT = Path(__file__).parents[4]

SCENES = {
    "few": random_scene(40, 37, 29, seed=0),
    "many": random_scene(300, 64, 48, seed=1),
    "large and opaque": random_scene(300, 50, 40, seed=2, size=3.0),
    "thin as hairs": random_scene(150, 47, 33, seed=3, size=0.02),
    "around the camera": random_scene(200, 40, 40, seed=4, shift_z=0.5),
    "one row of pixels": random_scene(60, 40, 1, seed=5),
    "one pixel": random_scene(60, 1, 1, seed=6),
}


@pytest.mark.parametrize("apart", [1, 4])
def test_split_harmonics_give_the_same_render_and_gradients_as_joined(apart: int) -> None:
    scene = SCENES["many"]
    *others, sh = scene.tensors(torch.float32)
    joint = sh.clone().requires_grad_()
    split = [part.clone().requires_grad_() for part in (sh[:, :apart], sh[:, apart:])]

    options = RenderOptions(sh_degree=2)
    expected = rasterise(splat_of([*others, joint]), scene.view, options).rgb
    in_two = replace(splat_of([*others, split[0]]), sh_rest=split[1])
    found = rasterise(in_two, scene.view, options).rgb
    for image in (expected, found):
        torch.autograd.backward((image * image).sum())

    assert torch.equal(found, expected)
    grads = [part.grad for part in split]
    assert torch.equal(torch.cat([g for g in grads if g is not None], 1), joint.grad)
    assert not grads[1][:, 9 - apart :].any()


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_the_render_matches_the_dense_reference(scene: Scene, antialiased: bool) -> None:
    expected = dense_reference.render(
        scene.tensors(torch.float64),
        scene.view,
        sh_degree=3,
        background=BACKGROUND,
        antialiased=antialiased,
    )
    found = rasterise(
        scene.splat(),
        replace(scene.view, background_image=BACKGROUND),
        RenderOptions(sh_degree=3, antialiased=antialiased, with_depth=True),
    )

    assert found.depth is not None
    assert (found.rgb - expected.rgb).abs().max() < 1e-5
    assert (found.alpha - expected.alpha).abs().max() < 1e-5
    assert (found.depth - expected.depth).abs().max() < 3e-5 * expected.depth.max()


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_median_depth_matches_the_dense_reference(scene: Scene) -> None:
    expected = dense_reference.render(scene.tensors(torch.float64), scene.view, sh_degree=3)
    inputs = scene.tensors(torch.float32, requires_grad=True)
    found = rasterise(
        splat_of(inputs), scene.view, RenderOptions(sh_degree=3, with_median_depth=True)
    )

    assert found.median_depth is not None
    assert not found.median_depth.requires_grad
    sure = expected.closest_to_half > 1e-5
    assert sure.float().mean() > 0.9
    torch.testing.assert_close(
        found.median_depth[sure], expected.median_depth[sure].float(), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_summed_weights_match_the_dense_reference(scene: Scene) -> None:
    expected = dense_reference.render(scene.tensors(torch.float64), scene.view, sh_degree=3)
    inputs = scene.tensors(torch.float32, requires_grad=True)
    found = rasterise(splat_of(inputs), scene.view, RenderOptions(sh_degree=3, with_weights=True))

    assert found.weights is not None
    assert not found.weights.requires_grad
    assert (found.weights - expected.weights).abs().max() < 1e-5 * expected.weights.max()
    assert found.weights.sum() == pytest.approx(found.alpha.sum().item(), rel=1e-5)


def test_median_depth_is_on_a_surface_where_expected_depth_is_between_two() -> None:
    def walls(*opacities: float) -> Rendering:
        count = len(opacities)
        return rasterise(
            SplatTensors(
                means=torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 6.0]])[:count],
                quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(count, 4),
                scales=torch.tensor([50.0, 50.0, 0.01]).expand(count, 3),
                opacities=torch.tensor(opacities),
                sh=torch.zeros(count, 1, 3),
            ),
            square_camera(9),
            RenderOptions(sh_degree=0, with_depth=True, with_median_depth=True),
        )

    half = walls(0.49, 0.5)
    assert half.depth is not None
    assert half.median_depth is not None
    assert half.depth[4, 4] == pytest.approx(2 + 4 * 0.255 / 0.745, rel=1e-4)
    assert torch.equal(half.median_depth, torch.full((9, 9), 6.0))
    assert torch.equal(walls(0.6, 0.5).median_depth, torch.full((9, 9), 2.0))
    assert torch.equal(walls(0.4).median_depth, torch.zeros(9, 9))


def square_camera(size: int) -> PinholeCameras:
    """At the origin, with a focal length of 50 pixels."""
    return PinholeCameras(
        camera_from_world=np.eye(4),
        intrinsics=np.array([[50.0, 0, size / 2], [0, 50.0, size / 2], [0, 0, 1.0]]),
        width=size,
        height=size,
    )


def one_on_the_axis(distance: float, *, scale: float, opacity: float) -> SplatTensors:
    """A single grey, round Gaussian."""
    return SplatTensors(
        means=torch.tensor([[0.0, 0.0, distance]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        scales=torch.full((1, 3), scale),
        opacities=torch.tensor([opacity]),
        sh=torch.zeros(1, 1, 3),
    )


@pytest.mark.parametrize("distance", [2.0, 4.0, 8.0])
def test_antialiased_light_falls_with_the_square_of_the_distance(distance: float) -> None:
    """A Gaussian smaller than a pixel sheds ``2 pi opacity (s f / z)^2``, whatever the blur."""
    found = rasterise(
        one_on_the_axis(distance, scale=0.02, opacity=0.9),
        square_camera(33),
        RenderOptions(sh_degree=0, antialiased=True),
    )
    light = 2 * np.pi * 0.9 * (0.02 * 50 / distance) ** 2
    # What lies beyond the cut at alpha = 1/255: 2 pi sqrt(det C) / 255, of covariance C.
    beyond = 2 * np.pi / 255 * ((0.02 * 50 / distance) ** 2 + 0.3)
    assert found.alpha.sum() == pytest.approx(light - beyond, rel=0.03)


def test_optional_outputs_do_not_change_the_other_outputs() -> None:
    scene = random_scene(500, 70, 50, seed=14)
    plain, whole = (
        rasterise(
            scene.splat(),
            scene.view,
            RenderOptions(
                sh_degree=3, with_depth=whole, with_median_depth=whole, with_weights=whole
            ),
        )
        for whole in (False, True)
    )
    assert torch.equal(plain.rgb, whole.rgb)
    assert torch.equal(plain.alpha, whole.alpha)


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("absgrad", [False, True], ids=["plain", "absgrad"])
@pytest.mark.parametrize("with_depth", [False, True], ids=["colour", "depth"])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_gradients_match_the_dense_reference(
    scene: Scene, with_depth: bool, absgrad: bool, antialiased: bool
) -> None:
    generator = torch.Generator().manual_seed(9)
    height, width = scene.view.height, scene.view.width
    rgb, alpha, depth = (
        torch.randn(height, width, channels, generator=generator).squeeze(2)
        for channels in (3, 1, 1)
    )

    exact = scene.tensors(torch.float64, requires_grad=True)
    exact_background = BACKGROUND.double().requires_grad_()
    expected = dense_reference.render(
        exact, scene.view, sh_degree=3, background=exact_background, antialiased=antialiased
    )
    # Where next to nothing is drawn, the depth's own gradients cancel to rounding.
    depth = torch.where(expected.alpha > 0.05, depth, 0.0)
    objective = (expected.rgb * rgb).sum() + (expected.alpha * alpha).sum()
    (objective + ((expected.depth * depth).sum() if with_depth else 0)).backward()

    single = scene.tensors(torch.float32, requires_grad=True)
    background = BACKGROUND.clone().requires_grad_()
    found = rasterise(
        splat_of(single),
        replace(scene.view, background_image=background),
        RenderOptions(sh_degree=3, antialiased=antialiased, absgrad=absgrad, with_depth=with_depth),
    )
    objective = (found.rgb * rgb).sum() + (found.alpha * alpha).sum()
    if found.depth is not None:
        objective = objective + (found.depth * depth).sum()
    objective.backward()

    for name, a, b in zip(NAMES, exact, single, strict=True):
        assert relative_error(b.grad, a.grad) < 1e-4, name
    assert relative_error(background.grad, exact_background.grad) < 1e-4
    assert relative_error(found.means2d.grad[0], expected.means2d.grad) < 1e-4
    assert hasattr(found.means2d, "absgrad") == absgrad
    if absgrad:
        assert relative_error(found.means2d.absgrad[0], expected.absgrad()) < 1e-4


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_pose_gradients_match_the_dense_reference(
    scene: Scene, dtype: torch.dtype, antialiased: bool
) -> None:
    height, width = scene.view.height, scene.view.width
    upstream = torch.randn(height, width, 3, generator=torch.Generator().manual_seed(9))
    exact_pose, pose = (
        torch.tensor(scene.view.camera_from_world, dtype=precision, requires_grad=True)
        for precision in (torch.float64, dtype)
    )
    expected = dense_reference.render(
        scene.tensors(torch.float64),
        replace(scene.view, camera_from_world=exact_pose),
        sh_degree=3,
        antialiased=antialiased,
    )
    found = rasterise(
        scene.splat(),
        replace(scene.view, camera_from_world=pose),
        RenderOptions(sh_degree=3, antialiased=antialiased),
    )
    for rendering in (expected, found):
        (rendering.rgb * upstream).sum().backward()
    assert pose.grad.dtype == dtype
    assert relative_error(pose.grad, exact_pose.grad) < 1e-4
    assert not pose.grad[3].any()


@pytest.mark.parametrize("move", range(6), ids=["x", "y", "z", "pitch", "yaw", "roll"])
def test_pose_gradients_agree_with_finite_differences(move: int) -> None:
    """Along each way in which a camera can move, of the reference in float64."""
    scene = random_scene(60, 40, 30, seed=15)
    upstream = torch.randn(30, 40, 3, generator=torch.Generator().manual_seed(1))
    still = torch.from_numpy(scene.view.camera_from_world)
    twist = torch.zeros(4, 4, dtype=torch.float64)
    if move < 3:
        twist[move, 3] = 1.0
    else:
        i, j = (move - 2) % 3, (move - 1) % 3
        twist[i, j], twist[j, i] = -1.0, 1.0

    def objective(step: float) -> float:
        moved = torch.linalg.matrix_exp(step * twist) @ still
        camera = replace(scene.view, camera_from_world=moved)
        rgb = dense_reference.render(scene.tensors(torch.float64), camera, sh_degree=3).rgb
        return float((rgb * upstream).sum())

    pose = still.clone().requires_grad_()
    rendering = rasterise(
        scene.splat(),
        replace(scene.view, camera_from_world=pose),
        RenderOptions(sh_degree=3),
    )
    (rendering.rgb * upstream).sum().backward()
    slope = float((pose.grad * (twist @ still)).sum())
    # Steps so small that no pixel crosses one of the formulas' thresholds.
    difference = (objective(1e-8) - objective(-1e-8)) / 2e-8
    assert slope == pytest.approx(difference, rel=1e-3, abs=1e-3 * float(pose.grad.norm()))


def test_the_background_may_be_an_image() -> None:
    scene = random_scene(200, 40, 30, seed=15)
    generator = torch.Generator().manual_seed(3)
    picture, upstream = (torch.rand(30, 40, 3, generator=generator) for _ in range(2))

    exact = scene.tensors(torch.float64, requires_grad=True)
    exact_picture = picture.double().requires_grad_()
    expected = dense_reference.render(exact, scene.view, sh_degree=3, background=exact_picture)
    (expected.rgb * upstream).sum().backward()

    single = scene.tensors(torch.float32, requires_grad=True)
    picture.requires_grad_()
    found = rasterise(
        splat_of(single), replace(scene.view, background_image=picture), RenderOptions(sh_degree=3)
    )
    (found.rgb * upstream).sum().backward()

    assert (found.rgb - expected.rgb).abs().max() < 1e-5
    for name, a, b in zip(NAMES, exact, single, strict=True):
        assert relative_error(b.grad, a.grad) < 1e-4, name
    assert relative_error(picture.grad, exact_picture.grad) < 1e-4


@pytest.mark.parametrize("size", [(), (30, 40)], ids=["colours", "pictures"])
def test_several_cameras_give_the_same_renders_as_each_alone(size: tuple[int, ...]) -> None:
    scene = random_scene(200, 40, 30, seed=16)
    views = [view(40, 30, turn_rad=turn) for turn in (0.2, -0.1, 0.4)]
    colours = torch.rand(3, *size, 3, generator=torch.Generator().manual_seed(2))
    options = RenderOptions(
        sh_degree=3, absgrad=True, with_depth=True, with_median_depth=True, with_weights=True
    )

    def objective(rendering: Rendering) -> Tensor:
        return rendering.rgb.square().sum() + (rendering.alpha * rendering.depth).sum()

    joint = scene.tensors(torch.float32, requires_grad=True)
    backgrounds = colours.clone().requires_grad_()
    cameras = stacked(*views)
    poses = torch.from_numpy(cameras.camera_from_world).requires_grad_()
    cameras = replace(cameras, camera_from_world=poses, background_image=backgrounds)
    found = rasterise(splat_of(joint), cameras, options)
    objective(found).backward()

    alone = scene.tensors(torch.float32, requires_grad=True)
    for i, single in enumerate(views):
        background = colours[i].clone().requires_grad_()
        pose = torch.from_numpy(single.camera_from_world).requires_grad_()
        camera = replace(single, camera_from_world=pose, background_image=background)
        expected = rasterise(splat_of(alone), camera, options)
        objective(expected).backward()
        for name in ("rgb", "alpha", "depth", "median_depth", "weights"):
            assert torch.equal(getattr(found, name)[i], getattr(expected, name)), name
        assert torch.equal(found.radii[i], expected.radii[0])
        assert torch.equal(found.means2d.grad[i], expected.means2d.grad[0])
        assert torch.equal(found.means2d.absgrad[i], expected.means2d.absgrad[0])
        assert torch.equal(backgrounds.grad[i], background.grad)
        assert torch.equal(poses.grad[i], pose.grad)
    for name, a, b in zip(NAMES, alone, joint, strict=True):
        assert relative_error(b.grad, a.grad) < 1e-6, name


def test_a_stack_of_one_camera_stays_a_stack() -> None:
    scene = random_scene(50, 40, 30, seed=16)
    single = rasterise(scene.splat(), scene.view, RenderOptions(sh_degree=3))
    stack = replace(stacked(scene.view), background_image=BACKGROUND[None] * 0)
    found = rasterise(scene.splat(), stack, RenderOptions(sh_degree=3))
    assert torch.equal(found.rgb, single.rgb[None])
    assert torch.equal(found.alpha, single.alpha[None])
    assert found.radii.shape == single.radii.shape == (1, 50, 2)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
def test_the_reference_agrees_with_finite_differences(antialiased: bool) -> None:
    scene = random_scene(30, 20, 16, seed=7)
    inputs = scene.tensors(torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(16, 20, 3, generator=generator, dtype=torch.float64)
    directions = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in inputs]

    def objective(shift: float) -> Tensor:
        moved = [t + shift * d for t, d in zip(inputs, directions, strict=True)]
        found = dense_reference.render(moved, scene.view, sh_degree=3, antialiased=antialiased)
        return (found.rgb * weights).sum() + (found.alpha.square() * found.depth).sum()

    objective(0.0).backward()
    slope = sum(float((t.grad * d).sum()) for t, d in zip(inputs, directions, strict=True))
    # Steps so small that no pixel crosses one of the formulas' thresholds.
    difference = (objective(1e-9) - objective(-1e-9)).item() / 2e-9
    assert difference == pytest.approx(slope, rel=1e-5)


def test_one_gaussian_on_the_axis_matches_the_closed_form() -> None:
    """Half opaque at its centre; the pixel next to it is one pixel off, of variance s^2 f^2/z^2."""
    found = rasterise(
        one_on_the_axis(2.0, scale=0.1, opacity=0.5),
        square_camera(33),
        RenderOptions(sh_degree=0, with_depth=True),
    )
    assert found.depth is not None
    variance = (0.1 * 50 / 2) ** 2 + 0.3
    assert found.alpha[16, 16] == pytest.approx(0.5, rel=1e-6)
    assert found.alpha[16, 17] == pytest.approx(0.5 * np.exp(-0.5 / variance), rel=1e-5)
    assert found.rgb[16, 16].tolist() == pytest.approx([0.25, 0.25, 0.25], rel=1e-6)
    assert found.depth[16, 16] == pytest.approx(2.0, rel=1e-6)
    assert found.depth[0, 0] == 0.0
    sigmas = np.sqrt(2 * np.log(0.5 * 255))
    assert found.radii.tolist() == [[[int(np.ceil(sigmas * np.sqrt(variance)))] * 2]]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_harmonics_above_the_degree_in_use_are_ignored(degree: int) -> None:
    scene = random_scene(80, 40, 30, seed=8)
    used = (degree + 1) ** 2
    whole = scene.tensors(torch.float32, requires_grad=True)
    cut = [*whole[:4], whole[4].detach()[:, :used].clone().requires_grad_()]

    first = rasterise(splat_of(whole), scene.view, RenderOptions(sh_degree=degree)).rgb
    second = rasterise(splat_of(cut), scene.view, RenderOptions(sh_degree=degree)).rgb
    first.sum().backward()
    second.sum().backward()

    expected = dense_reference.render(scene.tensors(torch.float64), scene.view, sh_degree=degree)
    assert (first - expected.rgb).abs().max() < 1e-5
    assert torch.equal(first, second)
    assert torch.equal(whole[4].grad[:, :used], cut[4].grad)
    assert not whole[4].grad[:, used:].any()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("numba has 1 thread")
    scene = random_scene(2000, 100, 80, seed=10)
    before = numba.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 2, 1):
            numba.set_num_threads(threads)
            runs.append(render_and_differentiate(scene))
    finally:
        numba.set_num_threads(before)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))


def render_and_differentiate(scene: Scene) -> list[Tensor]:
    inputs = scene.tensors(torch.float32, requires_grad=True)
    rendering = rasterise(splat_of(inputs), scene.view, RenderOptions(sh_degree=3))
    rendering.rgb.square().sum().backward()
    return [rendering.rgb.detach(), rendering.means2d.grad, *(t.grad for t in inputs)]


@pytest.mark.parametrize("where", ["none at all", "behind the camera", "beside the view"])
def test_an_empty_view_gives_the_background_and_no_gradient(where: str) -> None:
    scene = random_scene(0 if where == "none at all" else 50, 40, 30, seed=11)
    inputs = scene.tensors(torch.float32)
    inputs[0] += torch.tensor({"beside the view": [1e3, 0.0, 0.0]}.get(where, [0.0, 0.0, -50.0]))
    for tensor in inputs:
        tensor.requires_grad_()

    found = rasterise(
        splat_of(inputs),
        replace(scene.view, background_image=BACKGROUND),
        RenderOptions(sh_degree=3, with_depth=True),
    )
    assert found.depth is not None
    (found.rgb.sum() + found.alpha.sum() + found.depth.sum()).backward()

    assert torch.equal(found.rgb, BACKGROUND.expand(30, 40, 3))
    assert not found.alpha.any()
    assert not found.depth.any()
    assert not found.radii.any()
    assert all(not tensor.grad.any() for tensor in inputs)


def test_a_million_gaussians_off_screen_change_nothing() -> None:
    scene = random_scene(50, 40, 30, seed=17)
    few = scene.tensors(torch.float32, requires_grad=True)
    off_screen = scene.tensors(torch.float32)
    off_screen[0] += torch.tensor([0.0, 1e4, 0.0])
    many = [
        torch.cat([shown.detach(), hidden.repeat_interleave(20_000, dim=0)]).requires_grad_()
        for shown, hidden in zip(few, off_screen, strict=True)
    ]

    expected = rasterise(splat_of(few), scene.view, RenderOptions(sh_degree=1))
    found = rasterise(splat_of(many), scene.view, RenderOptions(sh_degree=1))
    expected.rgb.square().sum().backward()
    found.rgb.square().sum().backward()

    assert torch.equal(found.rgb, expected.rgb)
    for a, b in zip(few, many, strict=True):
        assert torch.equal(b.grad[:50], a.grad)
        assert not b.grad[50:].any()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", NAMES)
def test_non_finite_parameters_are_named(name: str, number: float) -> None:
    scene = random_scene(50, 40, 30, seed=12)
    everywhere_in_view = rasterise(scene.splat(), scene.view, RenderOptions(sh_degree=3))
    seen = int((everywhere_in_view.radii[0, :, 0] > 0).nonzero()[0])
    scene.gaussians[name][seen] = number

    with pytest.raises(InputError, match=rf"^{name} of 1 of 50 .* number {seen}\b"):
        rasterise(scene.splat(), scene.view, RenderOptions(sh_degree=3))


def test_without_gradients_no_backward_state_is_kept() -> None:
    scene = random_scene(50, 40, 30, seed=13)
    plain = rasterise(scene.splat(), scene.view, RenderOptions(sh_degree=3))
    inputs = scene.tensors(torch.float32, requires_grad=True)
    with torch.no_grad():
        quiet = rasterise(splat_of(inputs), scene.view, RenderOptions(sh_degree=3))
    assert not any(r.rgb.requires_grad or r.means2d.requires_grad for r in (plain, quiet))
    assert torch.equal(
        plain.rgb, rasterise(splat_of(inputs), scene.view, RenderOptions(sh_degree=3)).rgb
    )


def test_editing_the_image_in_place_is_detected_by_autograd() -> None:
    scene = random_scene(50, 40, 30, seed=13)
    inputs = scene.tensors(torch.float32, requires_grad=True)
    rendering = rasterise(splat_of(inputs), scene.view, RenderOptions(sh_degree=3))
    edited = rendering.rgb.clamp_(0.0, 0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        edited.sum().backward()


magnitude = st.floats(-12, 12).map(lambda power: 10.0**power)


@settings(max_examples=150)
@given(
    scales=st.tuples(magnitude, magnitude, magnitude),
    depth=magnitude,
    across=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    opacity=st.one_of(
        st.floats(0, 1), st.sampled_from([1 / 255, 1 / 255 + 1e-9, 1 / 255 + 1e-6, 1.0])
    ),
    quat=st.tuples(*[st.floats(-1, 1, width=32)] * 4),
    size=st.sampled_from([(1, 1), (17, 5), (64, 40)]),
    antialiased=st.booleans(),
)
def test_a_degenerate_gaussian_leaves_finite_numbers(
    scales: tuple[float, float, float],
    depth: float,
    across: tuple[float, float],
    opacity: float,
    quat: tuple[float, float, float, float],
    size: tuple[int, int],
    antialiased: bool,
) -> None:
    inputs = [
        torch.tensor([[across[0] * depth, across[1] * depth, depth]]),
        torch.tensor([quat]),
        torch.tensor([scales]),
        torch.tensor([opacity], dtype=torch.float32),
        torch.full((1, 16, 3), 0.1),
    ]
    for tensor in inputs:
        tensor.requires_grad_()
    camera = view(*size, turn_rad=0.0)
    pose = torch.from_numpy(camera.camera_from_world).requires_grad_()
    found = rasterise(
        splat_of(inputs),
        replace(camera, camera_from_world=pose, background_image=BACKGROUND),
        RenderOptions(
            sh_degree=3,
            antialiased=antialiased,
            absgrad=True,
            with_depth=True,
            with_median_depth=True,
            with_weights=True,
        ),
    )
    found.rgb.sum().backward()
    images = (found.rgb, found.depth, found.median_depth, found.weights, found.means2d.absgrad)
    assert all(torch.isfinite(image).all() for image in images)
    assert ((found.alpha >= 0) & (found.alpha <= 1)).all()
    assert (found.radii >= 0).all()
    assert all(torch.isfinite(tensor.grad).all() for tensor in (*inputs, pose))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 60),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    size=st.sampled_from([0.03, 0.3, 1.0, 4.0]),
)
def test_any_small_scene_matches_the_reference(
    seed: int, count: int, width: int, height: int, size: float
) -> None:
    scene = random_scene(count, width, height, seed=seed, size=size)
    expected = dense_reference.render(
        scene.tensors(torch.float64), scene.view, sh_degree=2, background=BACKGROUND
    )
    found = rasterise(
        scene.splat(),
        replace(scene.view, background_image=BACKGROUND),
        RenderOptions(sh_degree=2),
    )
    # A pixel at a threshold may fall on either side of it, and changes by 1/255 of a colour.
    off = (found.rgb - expected.rgb).abs().amax(2)
    assert (off > 2e-5).sum() <= 0.002 * off.numel() + 1
    assert off.max() < 0.02


def test_a_second_process_compiles_nothing() -> None:
    """The kernels come from numba's cache, vectors and all."""
    program = (
        "from tasks.splat.rasterise.cpu.warm_up import warm_up; warm_up()\n"
        "from tasks.splat.train import adam, loss\n"
        "from tasks.splat.rasterise.cpu import blend, project, tiles\n"
        "import sys; modules = [sys.modules[f'tasks.splat.rasterise.cpu.{name}'] for name in\n"
        "    ('blend', 'project', 'tiles')] + [adam, loss]\n"
        "kernels = {k for m in modules for k in vars(m).values() if hasattr(k, 'stats')}\n"
        "missed = [k.__name__ for k in kernels if k.stats.cache_misses]\n"
        "hit = [k.__name__ for k in kernels if k.stats.cache_hits]\n"
        "print(len(missed), len(hit))\n"
    )
    warm_up()
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["0", "10"]
