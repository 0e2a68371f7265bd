"""Our Adam against torch's."""

import pytest
import torch

from tasks.splat.train.adam import Adam

OPTIONS = {"lr": 3e-3, "betas": (0.85, 0.99), "eps": 1e-15}


def test_adam_steps_match_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(50, 16, 3, generator=generator)
    ours, theirs = start.clone().requires_grad_(), start.double().requires_grad_()
    optimisers = [Adam([ours], **OPTIONS), torch.optim.Adam([theirs], **OPTIONS)]
    for step in range(30):
        grad = torch.randn(start.shape, generator=generator) * 10.0 ** (-step / 3)
        ours.grad, theirs.grad = grad, grad.double()
        for optimiser in optimisers:
            optimiser.step()

    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=2e-6)
    state, expected = optimisers[0].state[ours], optimisers[1].state[theirs]
    assert state.keys() == expected.keys()
    assert state["step"].item() == 30
    for name in ("exp_avg", "exp_avg_sq"):
        assert (state[name] - expected[name]).norm() < 1e-6 * expected[name].norm()


def test_a_parameter_without_gradient_is_not_updated() -> None:
    moved, still = (torch.ones(4, requires_grad=True) for _ in range(2))
    optimiser = Adam([{"params": moved, "lr": 0.1}, {"params": still}], lr=0.5)
    moved.grad = torch.ones(4)
    optimiser.step()
    assert moved.tolist() == pytest.approx([0.9] * 4)
    assert torch.equal(still, torch.ones(4))
    assert not optimiser.state[still]


def test_a_run_resumed_from_its_state_equals_an_uninterrupted_run() -> None:
    grads = torch.randn(20, 7, generator=torch.Generator().manual_seed(1))

    def run(parameter: torch.Tensor, optimiser: Adam, rows: torch.Tensor) -> None:
        for grad in rows:
            parameter.grad = grad.clone()
            optimiser.step()

    whole = torch.zeros(7, requires_grad=True)
    run(whole, Adam([whole], lr=0.01), grads)

    first = torch.zeros(7, requires_grad=True)
    before = Adam([first], lr=0.01)
    run(first, before, grads[:9])
    second = first.detach().clone().requires_grad_()
    after = Adam([second], lr=0.01)
    after.load_state_dict(before.state_dict())
    run(second, after, grads[9:])

    assert torch.equal(whole, second)


def test_gradients_of_any_layout_and_empty_parameters_are_accepted() -> None:
    parameter = torch.zeros(3, 5, requires_grad=True)
    empty = torch.zeros(0, 3, requires_grad=True)
    parameter.grad = torch.arange(1.0, 16.0).reshape(5, 3).T
    empty.grad = torch.zeros(0, 3)
    Adam([parameter, empty], lr=0.1).step()
    torch.testing.assert_close(parameter.detach(), torch.full((3, 5), -0.1))


def test_the_strategies_of_gsplat_can_grow_and_prune_its_parameters() -> None:
    from gsplat.strategy.ops import duplicate, remove

    params = torch.nn.ParameterDict({"means": torch.nn.Parameter(torch.arange(6.0).reshape(3, 2))})
    optimisers = {"means": Adam([params["means"]], lr=0.1)}
    params["means"].grad = torch.ones(3, 2)
    optimisers["means"].step()

    duplicate(params, optimisers, {}, torch.tensor([True, False, False]))
    remove(params, optimisers, {}, torch.tensor([False, True, False, False]))

    params["means"].grad = torch.ones(3, 2)
    optimisers["means"].step()
    expected = torch.tensor([[0.0, 1.0], [4.0, 5.0], [0.0, 1.0]]) - 0.2
    # The copy starts with running means of 0, so its second step is shorter.
    torch.testing.assert_close(params["means"].detach()[:2], expected[:2], atol=1e-5, rtol=0)
    assert optimisers["means"].state[params["means"]]["exp_avg"].shape == (3, 2)
