"""Weights of a LightGlue that is small and made up."""

from pathlib import Path

import torch


def small_matcher(file: Path, places: int) -> Path:
    """Weights of a LightGlue with two layers of width 8, made up."""
    rng = torch.Generator().manual_seed(0)
    tensors = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        tensors[f"{name}.weight"] = 0.2 * torch.randn(outputs, inputs, generator=rng)
        tensors[f"{name}.bias"] = torch.zeros(outputs)

    linear("input_proj", 128, 8)
    tensors["posenc.Wr.weight"] = torch.randn(2, places, generator=rng)
    for index in range(2):
        for block, parts in (
            ("self_attn", (("Wqkv", 24), ("out_proj", 8))),
            ("cross_attn", (("to_qk", 8), ("to_v", 8), ("to_out", 8))),
        ):
            name = f"transformers.{index}.{block}"
            for part, outputs in parts:
                linear(f"{name}.{part}", 8, outputs)
            linear(f"{name}.ffn.0", 16, 16)
            tensors[f"{name}.ffn.1.weight"] = torch.ones(16)
            tensors[f"{name}.ffn.1.bias"] = torch.zeros(16)
            linear(f"{name}.ffn.3", 16, 8)
        linear(f"log_assignment.{index}.matchability", 8, 1)
        linear(f"log_assignment.{index}.final_proj", 8, 8)
        tensors[f"log_assignment.{index}.matchability.weight"] *= 0.0
        tensors[f"log_assignment.{index}.matchability.bias"] += 9.0
        tensors[f"log_assignment.{index}.final_proj.weight"] *= 20.0
    linear("token_confidence.0.token.0", 8, 1)
    torch.save(tensors, file)
    return file
