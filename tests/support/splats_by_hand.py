"""Parameters and optimisers as the optimiser holds them, of random Gaussians."""

import torch

NAMES = ("means", "scales", "quats", "opacities", "sh0", "shN")


def random_parameters(count: int, seed: int = 0) -> torch.nn.ParameterDict:
    """Opacities from 0.01 to 0.99, and harmonics of degree 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return torch.nn.ParameterDict(
        {
            "means": normal(count, 3),
            "scales": normal(count, 3) - 3,
            "quats": normal(count, 4),
            "opacities": torch.logit(torch.rand(count, generator=generator) * 0.98 + 0.01),
            "sh0": normal(count, 1, 3),
            "shN": normal(count, 3, 3),
        }
    )


def stepped(params: torch.nn.ParameterDict) -> dict[str, torch.optim.Optimizer]:
    """Optimisers of the parameters, with moments that are not 0."""
    optimisers: dict[str, torch.optim.Optimizer] = {}
    for name in NAMES:
        optimisers[name] = torch.optim.Adam([params[name]], lr=1e-3)
        params[name].grad = torch.ones_like(params[name])
        optimisers[name].step()
        params[name].grad = None
    return optimisers


def moments(
    params: torch.nn.ParameterDict, optimisers: dict[str, torch.optim.Optimizer], name: str
) -> torch.Tensor:
    found = optimisers[name].state[params[name]]["exp_avg"]
    assert isinstance(found, torch.Tensor)
    return found
