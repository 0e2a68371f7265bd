import numpy as np
import pytest
import torch
from gsplat.cuda._torch_impl import _spherical_harmonics

from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.splat.init.points import gaussians_from_points


def grid(spacing: float, count: int = 4) -> np.ndarray:
    steps = np.arange(count) * spacing
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)


def initial(points: np.ndarray, colours: np.ndarray | None = None, *, seed: int = 0) -> Gaussians:
    if colours is None:
        colours = np.random.default_rng(1).uniform(0, 1, points.shape)
    return gaussians_from_points(points, colours, sh_degree=2, seed=seed)


@pytest.mark.parametrize("spacing", [0.01, 1.0, 25.0])
def test_gaussians_on_a_grid_are_as_wide_as_the_spacing(spacing: float) -> None:
    found = initial(grid(spacing))
    np.testing.assert_allclose(found.log_scales.exp().numpy(), spacing, rtol=1e-4)
    np.testing.assert_allclose(found.means.numpy(), grid(spacing), rtol=1e-6)


def test_gaussian_widths_are_rms_distances_to_three_neighbours() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    between = np.linalg.norm(points[:, None] - points[None], axis=-1)
    expected = np.sqrt((np.sort(between, axis=1)[:, 1:4] ** 2).mean(1))
    found = initial(points).log_scales.exp().numpy()
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 3, axis=1), rtol=1e-4)


def test_initial_colours_do_not_depend_on_view_direction() -> None:
    colours = np.random.default_rng(0).uniform(0, 1, (64, 3))
    colours[:2] = [[0, 0, 0], [1, 1, 1]]
    found = initial(grid(1.0), colours)
    for direction in ([0.0, 0.0, 1.0], [0.6, -0.8, 0.0]):
        towards = torch.tensor(direction).expand(64, 3)
        seen = _spherical_harmonics(2, towards, found.sh) + 0.5
        np.testing.assert_allclose(seen.numpy(), colours, atol=1e-6)


def test_initial_gaussians_have_the_expected_shapes_types_and_opacity() -> None:
    found = initial(grid(1.0))
    assert found.sh.shape == (64, 9, 3)
    assert found.sh_degree == 2
    assert found.quats.shape == (64, 4)
    np.testing.assert_allclose(torch.sigmoid(found.logit_opacities).numpy(), 0.1, rtol=1e-6)
    assert found.quats.norm(dim=1).min() > 1e-3


def test_the_seed_determines_the_rotations() -> None:
    first, again, other = (initial(grid(1.0), seed=seed).quats for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_points_far_outside_are_dropped_with_their_colours() -> None:
    points = np.concatenate([[[1e5, 0, 0]], grid(1.0), [[0, -1e6, 0]]])
    colours = np.linspace(0, 1, len(points))[:, None].repeat(3, axis=1)
    found = initial(points, colours)
    np.testing.assert_allclose(found.means.numpy(), grid(1.0), atol=1e-6)
    np.testing.assert_allclose(
        found.sh[:, 0].numpy() * 0.28209479177 + 0.5, colours[1:-1], atol=1e-6
    )
    np.testing.assert_allclose(found.log_scales.exp().numpy(), 1.0, rtol=1e-4)


def test_points_in_one_place_have_finite_scales() -> None:
    points = np.repeat(grid(1.0, 2), 5, axis=0)
    assert torch.isfinite(initial(points).log_scales).all()


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_points_are_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"only {count} points .* needs at least 10"):
        initial(np.random.default_rng(0).normal(size=(count, 3)))


def test_too_few_points_after_removing_outliers_are_refused() -> None:
    points = np.concatenate([grid(1.0, 2), [[1e6, 0, 0], [0, 1e6, 0], [0, 0, 1e6]]])
    with pytest.raises(InputError, match="only 8 points"):
        initial(points)
