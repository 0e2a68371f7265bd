"""Relocated Gaussians against the sums of the paper in exact arithmetic, and against renders."""

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from tasks.splat.densify.relocation import MOST_COPIES, add, relocate, split_alike
from tests.support.splats_by_hand import NAMES, moments, random_parameters, stepped


def of_paper(opacity: float, copies: int) -> tuple[float, float]:
    """New opacity and factor of the scales by equation 9, its double sum term by term."""
    new = 1 - (1 - opacity) ** (1 / copies)
    exact = Fraction(new)
    # Only 1 / sqrt(k + 1) is no fraction: the sums of the others are exact, one for each k.
    by_k = [
        sum(comb(i - 1, k) for i in range(k + 1, copies + 1)) * (-1) ** k * exact ** (k + 1)
        for k in range(copies)
    ]
    roots = [Fraction(sqrt(k + 1)) for k in range(copies)]
    total = float(sum(term / root for term, root in zip(by_k, roots, strict=True)))
    return new, opacity / total


@given(opacity=st.floats(2**-8, 1 - 2**-20, width=32), copies=st.integers(1, MOST_COPIES))
def test_opacity_and_scales_match_equation_9(opacity: float, copies: int) -> None:
    expected_opacity, factor = of_paper(opacity, copies)
    scales = torch.tensor([[0.5, 1.0, 3.0]])
    opacities, narrowed = split_alike(torch.tensor([opacity]), scales, torch.tensor([copies]))
    assert float(opacities) == pytest.approx(expected_opacity, rel=1e-5)
    np.testing.assert_allclose(narrowed, factor * scales, rtol=1e-5)


@pytest.mark.parametrize("opacity", [0.1, 0.7, 0.99])
@pytest.mark.parametrize("copies", [1, 2, 7, 51])
def test_relocated_copies_absorb_as_much_light_along_a_line_as_the_original(
    opacity: float, copies: int
) -> None:
    new, scale = split_alike(
        torch.tensor([opacity]), torch.ones(1, 3), torch.tensor([copies], dtype=torch.int64)
    )

    def absorbed(x: float) -> float:
        through = 1 - float(new) * np.exp(-(x**2) / (2 * float(scale[0, 0]) ** 2))
        return float(1 - through**copies)

    assert absorbed(0) == pytest.approx(opacity, rel=1e-5)
    assert quad(absorbed, -20, 20)[0] == pytest.approx(opacity * np.sqrt(2 * np.pi), rel=1e-4)


def test_the_number_of_copies_is_capped() -> None:
    given_to = (torch.tensor([0.6]), torch.ones(1, 3))
    for one, other in zip(
        split_alike(*given_to, torch.tensor([1000])),
        split_alike(*given_to, torch.tensor([MOST_COPIES])),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_dead_gaussians_move_to_living_ones_and_nothing_else_changes() -> None:
    params = random_parameters(200)
    with torch.no_grad():
        params["opacities"][::4] = -8.0
        params["opacities"][1::4] = 2.0  # the likely places
    before = {name: values.detach().clone() for name, values in params.items()}
    optimisers = stepped(params)
    with torch.no_grad():
        for name, values in before.items():
            params[name].copy_(values)
        dead = params["opacities"].sigmoid() <= 0.005
        torch.manual_seed(3)
        assert relocate(params, optimisers, dead, least_opacity=0.005) == 50

    moved = torch.arange(0, 200, 4)
    sources = {int(i): int((before["means"] == params["means"][i]).all(1).nonzero()) for i in moved}
    counts = np.bincount(list(sources.values()), minlength=200)
    assert not counts[::4].any()
    for index in range(200):
        source = sources.get(index, index)
        for name in NAMES:
            found, was = params[name][index].detach(), before[name][source]
            if not counts[source] or name not in ("opacities", "scales"):
                assert torch.equal(found, was)
        if counts[source]:
            opacity, factor = of_paper(
                float(before["opacities"][source].sigmoid()), 1 + int(counts[source])
            )
            assert float(params["opacities"][index].detach().sigmoid()) == pytest.approx(
                opacity, rel=1e-4
            )
            expected = before["scales"][source] + np.log(factor)
            np.testing.assert_allclose(params["scales"][index].detach(), expected, atol=1e-5)
    for name in NAMES:
        forgotten = moments(params, optimisers, name).reshape(200, -1).abs().sum(1) == 0
        touched = torch.from_numpy(counts > 0)
        touched[moved] = True
        assert torch.equal(forgotten, touched)


def test_added_gaussians_are_sampled_in_proportion_to_opacity() -> None:
    params = random_parameters(1000)
    with torch.no_grad():
        params["opacities"].fill_(-20.0)
        params["opacities"][[3, 700]] = torch.logit(torch.tensor([0.25, 0.75]))
    before = params["means"].detach().clone()
    optimisers = stepped(params)
    with torch.no_grad():
        params["means"].copy_(before)
        torch.manual_seed(1)
        add(params, optimisers, 40, least_opacity=0.005)

    assert {len(values) for values in params.values()} == {1040}
    assert torch.equal(params["means"][:1000], before)
    third, last = ((params["means"][1000:] == before[i]).all(1).sum() for i in (3, 700))
    assert third + last == 40
    assert 20 < last < 40  # 30 expected, with a standard deviation of 2.7
    for name in NAMES:
        found = moments(params, optimisers, name)
        assert found.shape == params[name].shape
        assert not found[1000:].any()
        assert not found[[3, 700]].any()
        assert found[4].any()
        assert optimisers[name].param_groups[0]["params"] == [params[name]]


def test_relocated_opacities_stay_within_bounds() -> None:
    params = random_parameters(2)
    with torch.no_grad():
        params["opacities"].copy_(torch.tensor([-9.0, -4.0]))
        relocate(params, stepped(params), torch.tensor([True, False]), least_opacity=0.015)
    assert params["opacities"].sigmoid().tolist() == pytest.approx([0.015, 0.015], rel=1e-4)


def test_without_living_gaussians_nothing_is_relocated() -> None:
    params = random_parameters(5)
    before = {name: values.detach().clone() for name, values in params.items()}
    optimisers = stepped(params)
    with torch.no_grad():
        for name, values in before.items():
            params[name].copy_(values)
        dead = torch.ones(5, dtype=torch.bool)
        assert relocate(params, optimisers, dead, least_opacity=0.005) == 0
    assert all(torch.equal(params[name], values) for name, values in before.items())


@pytest.mark.gpu
def test_relocation_matches_the_kernel_of_gsplat() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    from gsplat.relocation import compute_relocation

    generator = torch.Generator().manual_seed(0)
    opacities = torch.rand(500, generator=generator) * 0.9 + 0.05
    scales = torch.rand(500, 3, generator=generator) + 0.1
    copies = torch.randint(1, 12, (500,), generator=generator)
    binomials = torch.tensor([[float(comb(n, k)) for k in range(51)] for n in range(51)])
    theirs = compute_relocation(
        opacities.cuda(), scales.cuda(), copies.clone().cuda(), binomials.cuda()
    )
    for ours, other in zip(split_alike(opacities, scales, copies), theirs, strict=True):
        np.testing.assert_allclose(ours, other.cpu(), rtol=2e-3)
