"""Affine maps of colours against torch in float64."""

import numba
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.splat.train.appearance import affine_colours


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(height, width, 3, generator=torch.Generator().manual_seed(seed))


def test_the_identity_map_keeps_values_and_gradients_bitwise() -> None:
    rgb, by_mapped = image(7, 11).requires_grad_(), image(7, 11, seed=1)
    mapped = affine_colours(rgb, torch.eye(3, 4))
    mapped.backward(by_mapped)
    assert torch.equal(mapped, rgb)
    assert torch.equal(rgb.grad, by_mapped)


@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
def test_affine_colour_values_and_gradients_match_the_einsum_in_float64(
    height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    rgb, by_mapped = image(height, width, seed), image(height, width, seed + 1)
    matrix = torch.randn(3, 4, generator=generator)
    ours = [rgb.clone().requires_grad_(), matrix.clone().requires_grad_()]
    theirs = [one.double().requires_grad_() for one in (rgb, matrix)]

    found = affine_colours(*ours)
    expected = torch.einsum("ij,hwj->hwi", theirs[1][:, :3], theirs[0]) + theirs[1][:, 3]
    found.backward(by_mapped)
    expected.backward(by_mapped.double())

    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-5, atol=1e-4)


def test_equal_input_gives_equal_gradients_on_any_number_of_threads() -> None:
    before = numba.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 2):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            matrix = torch.eye(3, 4, requires_grad=True)
            affine_colours(image(37, 53), matrix).backward(image(37, 53, seed=1))
            found.append(matrix.grad)
    finally:
        numba.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
