"""Noise on the means against covariances made by scipy in float64."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tasks.splat.config import Mcmc
from tasks.splat.densify.noise import add_noise
from tasks.splat.densify.strategy import densifier_for
from tests.support.splats_by_hand import random_parameters


def random_gaussians(count: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {
        "means": generator.normal(size=(count, 3)).astype(np.float32),
        "quats": (3 * generator.normal(size=(count, 4))).astype(np.float32),
        "log_scales": generator.uniform(-4, 0, (count, 3)).astype(np.float32),
        "logit_opacities": generator.uniform(-9, 3, count).astype(np.float32),
        "normal": generator.normal(size=(count, 3)).astype(np.float32),
    }


def test_noise_on_a_mean_scales_with_covariance_and_transparency() -> None:
    given = random_gaussians(300)
    moved = given["means"].copy()
    add_noise(**{**given, "means": moved}, size=np.float32(2.5))

    exact = {name: values.astype(np.float64) for name, values in given.items()}
    axes = Rotation.from_quat(exact["quats"], scalar_first=True).as_matrix()
    variances = np.exp(2 * exact["log_scales"])
    covariances = np.einsum("nij,nj,nkj->nik", axes, variances, axes)
    opacities = 1 / (1 + np.exp(-exact["logit_opacities"]))
    gates = 1 / (1 + np.exp(100 * (opacities - 0.005)))
    steps = 2.5 * gates[:, None] * np.einsum("nij,nj->ni", covariances, exact["normal"])
    assert 0.1 < np.abs(steps).max() < 10
    np.testing.assert_allclose(moved, exact["means"] + steps, rtol=2e-5, atol=2e-6)


def test_noise_scales_with_the_size_of_the_world() -> None:
    moved = []
    for scale in (1.0, 10.0):
        params = random_parameters(50)
        with torch.no_grad():
            params["means"].mul_(scale)
            params["scales"].add_(np.log(scale))
            params["opacities"].fill_(-6.0)
        before = params["means"].detach().clone()
        optimisers = {"means": torch.optim.SGD([params["means"]], lr=1.6e-4 * scale)}
        strategy = densifier_for(
            Mcmc(noise=1e4), iterations=10, extent=scale, most=50, device="cpu"
        )
        torch.manual_seed(2)
        strategy.step_post_backward(params, optimisers, strategy.initialize_state(), 1, {})
        moved.append((params["means"].detach() - before) / scale)
    assert moved[0].abs().max() > 1e-4
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-3, atol=1e-6)


@pytest.mark.gpu
def test_noise_is_as_large_as_in_gsplat() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    from gsplat.strategy.ops import inject_noise_to_position

    given = random_gaussians(50_000)
    given["means"][:] = 0
    given["quats"][:], given["log_scales"][:] = given["quats"][0], given["log_scales"][0]
    given["logit_opacities"][:] = -7
    ours = given["means"].copy()
    add_noise(**{**given, "means": ours}, size=np.float32(2.5))
    names = {"means": "means", "quats": "quats", "log_scales": "scales"}
    names["logit_opacities"] = "opacities"
    theirs = {other: torch.from_numpy(given[name]).cuda() for name, other in names.items()}
    inject_noise_to_position(theirs, {}, {}, scaler=2.5)
    both = (np.cov(values.T) for values in (ours, theirs["means"].cpu().numpy()))
    one, other = both
    assert np.linalg.norm(one - other) < 0.05 * np.linalg.norm(other)
