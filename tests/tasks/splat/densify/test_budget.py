"""No fit has more Gaussians than it may, and where room is short the largest gradients grow."""

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.runtime.context import Context, Device
from tasks.splat.config import Absgrad, Default, EveryNth, Mcmc, Points, SplatConfig
from tasks.splat.densify.budget import bytes_per_gaussian, check_room, most_gaussians
from tasks.splat.densify.strategy import densifier_for
from tasks.splat.fit import Splat, fit
from tasks.splat.training_photos import PosedPhotos
from tests.support.painted_plane import photograph
from tests.support.splats_by_hand import random_parameters, stepped

OFTEN = {"start": 20, "every": 20, "stop_share": 0.9}
KINDS = [
    Default(**OFTEN, gradient=1e-5),
    Absgrad(**OFTEN, gradient=1e-5),
    Mcmc(**OFTEN),
]


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


def fitted(
    scene: PosedPhotos, *, device: Device = "cpu", **fields: object
) -> tuple[Splat, list[str]]:
    told: list[str] = []
    config = SplatConfig(
        iterations=150, sh_degree=1, max_size=32, init=Points(), background=False, **fields
    )
    splat = fit(
        scene,
        EveryNth(n=4),
        config,
        context=Context(device=device, progress=lambda share, doing: told.append(doing)),
    )
    return splat, told


@pytest.mark.parametrize("densify", KINDS, ids=lambda densify: densify.kind)
def test_a_fit_stops_growing_at_its_limit_and_reports_it(
    scene: PosedPhotos, densify: Default | Absgrad | Mcmc
) -> None:
    free, told_free = fitted(scene, densify=densify)
    first = free.initial_points
    assert free.fitted.curve.gaussians.max() > first + 30
    assert not free.fitted.at_limit
    assert not any("(the limit)" in doing for doing in told_free)

    limit = first + 30
    held, told = fitted(scene, densify=densify, max_gaussians=limit)
    assert first < held.fitted.curve.gaussians.max() <= limit
    assert held.fitted.at_limit
    assert "(the limit)" in told[-1]


@pytest.mark.gpu
@pytest.mark.parametrize("thin", [False, True], ids=["whole", "packed and sparse"])
@pytest.mark.parametrize("densify", KINDS, ids=lambda densify: densify.kind)
def test_a_fit_on_cuda_stops_growing_at_its_limit(
    scene: PosedPhotos, densify: Default | Absgrad | Mcmc, thin: bool
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    steady, _ = fitted(scene, device="cuda", densify=Default(stop_share=0))
    first = steady.initial_points
    held, _ = fitted(
        scene,
        device="cuda",
        densify=densify,
        max_gaussians=first + 30,
        packed=thin,
        sparse=thin,
        batch=2 if thin else 1,
    )
    assert first < held.fitted.curve.gaussians.max() <= first + 30
    assert held.fitted.at_limit
    assert held.fitted.curve.loss[-1] < 1.1 * steady.fitted.curve.loss[-1]


def test_the_largest_gradients_grow_first_near_the_limit() -> None:
    params = random_parameters(100)
    optimisers = stepped(params)
    before = params["means"].detach().clone()
    with torch.no_grad():
        params["scales"].fill_(-9.0)  # small ones are copied to where they are
        strategy = densifier_for(
            Default(start=0, every=1, gradient=0.5),
            iterations=10,
            extent=1.0,
            most=103,
            device="cpu",
        )
        state = strategy.initialize_state(scene_scale=1.0)
        gradients = torch.rand(100, generator=torch.Generator().manual_seed(1))
        means2d = torch.zeros(1, 100, 2)
        means2d.grad = torch.stack([gradients, torch.zeros(100)], dim=1)[None] / 16
        info = {
            "means2d": means2d,
            "radii": torch.ones(1, 100, 2, dtype=torch.int32),
            "width": 32,
            "height": 32,
            "n_cameras": 1,
            "gaussian_ids": None,
        }
        before = params["means"].detach().clone()
        strategy.step_post_backward(params, optimisers, state, 1, info)
    assert state["at_limit"]
    assert len(params["means"]) == 103
    largest = before[gradients.argsort(descending=True)[:3]]
    added = params["means"][100:].detach()
    assert {tuple(row) for row in added.tolist()} == {tuple(row) for row in largest.tolist()}


@pytest.mark.parametrize("densify", KINDS[:2], ids=lambda densify: densify.kind)
def test_packed_rows_accumulate_the_same_gradients_as_dense_rows(
    densify: Default | Absgrad,
) -> None:
    generator = torch.Generator().manual_seed(1)
    radii = torch.randint(0, 3, (2, 50, 1), generator=generator).expand(2, 50, 2).int()
    gradients = torch.rand(2, 50, 2, generator=generator) * (radii > 0)
    camera, gaussian = (radii[..., 0] > 0).nonzero().unbind(1)
    found = []
    for rows in (None, gaussian):
        means2d = torch.zeros(2, 50, 2) if rows is None else torch.zeros(len(rows), 2)
        own = gradients if rows is None else gradients[camera, gaussian]
        means2d.grad = means2d.absgrad = own.clone()
        params = random_parameters(50)
        strategy = densifier_for(densify, iterations=100, extent=1.0, most=80, device="cpu")
        state = strategy.initialize_state(scene_scale=1.0)
        info = {
            "means2d": means2d,
            "radii": radii if rows is None else radii[camera, gaussian],
            "width": 32,
            "height": 48,
            "n_cameras": 2,
            "gaussian_ids": rows,
        }
        strategy.step_post_backward(params, stepped(params), state, 1, info)
        found.append(state)
    (dense, packed) = found
    assert dense["count"].max() == 2
    assert torch.equal(dense["count"], packed["count"])
    torch.testing.assert_close(dense["grad2d"], packed["grad2d"])


def test_the_bytes_per_gaussian_exceed_parameters_gradients_and_moments() -> None:
    floats = np.array([14, 23, 38, 59])
    needed = np.array([bytes_per_gaussian(degree) for degree in range(4)])
    assert (needed > 4 * 4 * floats).all()
    assert (needed < 8 * 4 * floats + 1000).all()


def test_the_limit_is_the_smaller_of_memory_and_count() -> None:
    config = SplatConfig(memory_gib=1.0, sh_degree=3)
    by_memory = most_gaussians(config)
    assert by_memory == 2**30 // bytes_per_gaussian(3)
    assert most_gaussians(config.model_copy(update={"max_gaussians": 7})) == 7
    assert most_gaussians(config.model_copy(update={"max_gaussians": 10**9})) == by_memory
    assert most_gaussians(SplatConfig(memory_gib=1e-9)) == 1


def test_starting_with_more_gaussians_than_the_limit_is_refused() -> None:
    config = SplatConfig(max_gaussians=1000)
    check_room(1000, config)
    with pytest.raises(InputError, match=r"start from 1,001 Gaussians.*room for 1,000"):
        check_room(1001, config)
