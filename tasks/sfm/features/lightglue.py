"""LightGlue: matches between the keypoints of two photos by a small transformer.

Each layer lets the keypoints of a photo attend to each other, by content and by relative position
(rotary encoding), then those of one photo to those of the other. After a layer, keypoints that are
sure to have no match are dropped, and the network stops where enough are sure of what they are.
Keypoints i and j match with the score

    P_ij = s_i s_j softmax_i(S)_ij softmax_j(S)_ij,    S_ij = (W x_i) (W x_j) / sqrt(d),

s being the matchability of a keypoint, where each is the other's best.

Rows of the weights are put in another order when they are loaded, so that queries, keys and values
are contiguous, and the two halves of a rotated pair; the result is the same.

Source: Lindenberger et al., LightGlue: Local Feature Matching at Light Speed, ICCV 2023, section 3;
thresholds of 3.3 and the order of rows as published with the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

STOP_SHARE = 0.95
"""Share of sure keypoints at which the network stops."""
LEAST_MATCHABILITY = 0.01
"""Sure keypoints below are dropped."""
LAYER_NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear:
    weight: Float[Tensor, "o i"]
    bias: Float[Tensor, " o"] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeedForward:
    """Update of a keypoint from what it is and the message that it got."""

    widen: Linear
    norm_weight: Float32[Tensor, " w"]
    norm_bias: Float32[Tensor, " w"]
    narrow: Linear

    def __call__(self, x: Float32[Tensor, "n d"], message: Tensor) -> Float32[Tensor, "n d"]:
        wide = self.widen(torch.cat([x.to(message.dtype), message], dim=-1)).float()
        normed = functional.layer_norm(
            wide, wide.shape[-1:], self.norm_weight, self.norm_bias, LAYER_NORM_EPSILON
        )
        return x + self.narrow(functional.gelu(normed))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransformerLayer:
    """Attention within each photo, then between the two."""

    query_key_value: Linear
    self_out: Linear
    self_update: FeedForward
    query: Linear
    """Of attention between photos, where queries are keys, too."""
    value: Linear
    cross_out: Linear
    cross_update: FeedForward


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LightGlue:
    """The network, on one device."""

    heads: int
    project: Linear | None
    """From descriptors to the width of the layers."""
    frequencies: Float32[Tensor, "f p"]
    """Of the rotary encoding; p is 2, or 4 with scale and angle."""
    layers: Sequence[TransformerLayer]
    matchability: Sequence[Linear]
    """After each layer, as the two below."""
    assignment: Sequence[Linear]
    sureness: Sequence[Linear]
    """After each layer but the last."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """The keypoints of a photo that are still in the game."""

    x: Float32[Tensor, "n d"]
    cosine: Float32[Tensor, "n f"]
    sine: Float32[Tensor, "n f"]
    index: Int64[Tensor, " n"]
    """In the photo's keypoints."""

    def kept(self, keep: Bool[Tensor, " n"]) -> "Tokens":
        return Tokens(
            x=self.x[keep], cosine=self.cosine[keep], sine=self.sine[keep], index=self.index[keep]
        )

    def updated(self, x: Float32[Tensor, "n d"]) -> "Tokens":
        return Tokens(x=x, cosine=self.cosine, sine=self.sine, index=self.index)


def positions(
    xy: Float32[Tensor, "n 2"],
    size: tuple[int, int],
    scale_and_angle: Float32[Tensor, "n 2"] | None = None,
) -> Float32[Tensor, "n p"]:
    """Positions as the network knows them: the photo's centre is 0, its longer half side 1.

    Args:
        xy: pixels whose centres are whole numbers.
        size: width and height, px.
        scale_and_angle: px and rad, of networks for features that have them.
    """
    place = (xy - xy.new_tensor(size) / 2) / (max(size) / 2)
    return place if scale_and_angle is None else torch.cat([place, scale_and_angle], dim=1)


def match(
    network: LightGlue,
    descriptors: tuple[Float32[Tensor, "n d"], Float32[Tensor, "m d"]],
    places: tuple[Float32[Tensor, "n p"], Float32[Tensor, "m p"]],
    least: float,
) -> tuple[Int64[Tensor, "k 2"], Float32[Tensor, " k"]]:
    """Matches between two photos with a score above ``least``, and their scores.

    Args:
        places: see :func:`positions`.
    """
    one, other = (_tokens(network, d, place) for d, place in zip(descriptors, places, strict=True))
    total = len(one.x) + len(other.x)
    last = len(network.layers) - 1
    for index, layer in enumerate(network.layers):
        if not len(one.x) or not len(other.x):
            break
        one, other = _layer(layer, network.heads, one, other)
        if index == last:
            break
        sure_above = 0.8 + 0.1 * math.exp(-4.0 * index / len(network.layers))
        sure = [network.sureness[index](part.x)[:, 0].sigmoid() for part in (one, other)]
        unsure = sum(int((values < sure_above).sum()) for values in sure)
        if 1.0 - unsure / total > STOP_SHARE:
            break
        one, other = (
            part.kept(
                (network.matchability[index](part.x)[:, 0].sigmoid() > LEAST_MATCHABILITY)
                | (values <= sure_above)
            )
            for part, values in zip((one, other), sure, strict=True)
        )
    if not len(one.x) or not len(other.x):
        return torch.zeros((0, 2), dtype=torch.int64), torch.zeros(0)
    return _assigned(network, index, one, other, least)


def _tokens(network: LightGlue, descriptors: Tensor, place: Tensor) -> Tokens:
    turn = place @ network.frequencies.T
    x = descriptors if network.project is None else network.project(descriptors)
    return Tokens(
        x=x, cosine=turn.cos(), sine=turn.sin(), index=torch.arange(len(x), device=x.device)
    )


def _layer(
    layer: TransformerLayer, heads: int, one: Tokens, other: Tokens
) -> tuple[Tokens, Tokens]:
    one, other = (part.updated(_attend_within(layer, heads, part)) for part in (one, other))
    keys = [_by_head(layer.query(part.x), heads) for part in (one, other)]
    values = [_by_head(layer.value(part.x), heads) for part in (one, other)]
    updated = [
        part.updated(
            layer.cross_update(
                part.x, layer.cross_out(_attention(keys[i], keys[1 - i], values[1 - i]))
            )
        )
        for i, part in enumerate((one, other))
    ]
    return updated[0], updated[1]


def _attend_within(layer: TransformerLayer, heads: int, part: Tokens) -> Tensor:
    query, key, value = layer.query_key_value(part.x).chunk(3, dim=-1)
    seen = _attention(
        _rotated(_by_head(query, heads), part),
        _rotated(_by_head(key, heads), part),
        _by_head(value, heads),
    )
    return layer.self_update(part.x, layer.self_out(seen))


def _by_head(x: Float[Tensor, "n d"], heads: int) -> Float[Tensor, "1 h n c"]:
    return x.reshape(len(x), heads, -1).transpose(0, 1)[None]


def _rotated(x: Float[Tensor, "1 h n c"], part: Tokens) -> Float[Tensor, "1 h n c"]:
    """Each pair of channels, of which one lies in either half, turned by its angle."""
    a, b = x.chunk(2, dim=-1)
    cosine, sine = part.cosine.to(x.dtype), part.sine.to(x.dtype)
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Float[Tensor, "n d"]:
    seen = functional.scaled_dot_product_attention(query, key, value)
    return seen[0].transpose(0, 1).flatten(1)


def _assigned(
    network: LightGlue, index: int, one: Tokens, other: Tokens, least: float
) -> tuple[Tensor, Tensor]:
    a, b = (network.assignment[index](part.x) for part in (one, other))
    similar = a @ b.T / math.sqrt(a.shape[1])
    matchable = [
        functional.logsigmoid(network.matchability[index](part.x)[:, 0]) for part in (one, other)
    ]
    score = (
        similar.log_softmax(dim=1)
        + similar.log_softmax(dim=0)
        + matchable[0][:, None]
        + matchable[1][None]
    )
    best, partner = score.max(dim=1)
    rows = torch.arange(len(partner), device=score.device)
    found = best.exp()
    keep = (score.max(dim=0).indices[partner] == rows) & (found > least)
    return torch.stack([one.index[keep], other.index[partner[keep]]], dim=1), found[keep]


def lightglue_network(
    tensors: Mapping[str, Tensor], device: str = "cpu", dtype: torch.dtype = torch.float32
) -> LightGlue:
    """The network from tensors by their published names; its sizes are theirs.

    Args:
        dtype: of the layers' products.

    Raises:
        KeyError: a tensor is missing.
    """
    on = {_renamed(name): tensor.to(device) for name, tensor in tensors.items()}
    frequencies = on["posenc.Wr.weight"]
    width = on["log_assignment.0.final_proj.weight"].shape[0]
    heads = width // (2 * len(frequencies))
    count = 1 + max(int(name.split(".")[1]) for name in on if name.startswith("transformers."))
    return LightGlue(
        heads=heads,
        project=_linear(on, "input_proj") if "input_proj.weight" in on else None,
        frequencies=frequencies,
        layers=[_transformer(on, f"transformers.{i}", heads, dtype) for i in range(count)],
        matchability=[_linear(on, f"log_assignment.{i}.matchability") for i in range(count)],
        assignment=[_linear(on, f"log_assignment.{i}.final_proj") for i in range(count)],
        sureness=[_linear(on, f"token_confidence.{i}.token.0") for i in range(count - 1)],
    )


def _renamed(name: str) -> str:
    """Of the two published ways to name layers, the later one."""
    first, _, rest = name.partition(".")
    if first not in ("self_attn", "cross_attn"):
        return name
    layer, _, rest = rest.partition(".")
    return f"transformers.{layer}.{first}.{rest}"


def _linear(tensors: Mapping[str, Tensor], name: str, dtype: torch.dtype = torch.float32) -> Linear:
    bias = tensors.get(f"{name}.bias")
    return Linear(
        weight=tensors[f"{name}.weight"].to(dtype), bias=None if bias is None else bias.to(dtype)
    )


def _transformer(
    tensors: Mapping[str, Tensor], name: str, heads: int, dtype: torch.dtype
) -> TransformerLayer:
    within, between = f"{name}.self_attn", f"{name}.cross_attn"
    packed = _linear(tensors, f"{within}.Wqkv", dtype)
    return TransformerLayer(
        query_key_value=Linear(
            weight=_unpacked(packed.weight, heads),
            bias=None if packed.bias is None else _unpacked(packed.bias, heads),
        ),
        self_out=_linear(tensors, f"{within}.out_proj", dtype),
        self_update=_feed_forward(tensors, f"{within}.ffn", dtype),
        query=_linear(tensors, f"{between}.to_qk", dtype),
        value=_linear(tensors, f"{between}.to_v", dtype),
        cross_out=_linear(tensors, f"{between}.to_out", dtype),
        cross_update=_feed_forward(tensors, f"{between}.ffn", dtype),
    )


def _feed_forward(tensors: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> FeedForward:
    return FeedForward(
        widen=_linear(tensors, f"{name}.0", dtype),
        norm_weight=tensors[f"{name}.1.weight"],
        norm_bias=tensors[f"{name}.1.bias"],
        narrow=_linear(tensors, f"{name}.3", dtype),
    )


def _unpacked(rows: Tensor, heads: int) -> Tensor:
    """From rows by head, channel and role to rows by role, head and channel; of queries and keys,
    channels that are turned as a pair, neighbours before, come to lie in the two halves."""
    by_role = rows.reshape(heads, -1, 3, *rows.shape[1:]).movedim(2, 0)
    halves = torch.cat([by_role[:2, :, 0::2], by_role[:2, :, 1::2]], dim=2)
    return torch.cat([halves, by_role[2:]]).flatten(0, 2).contiguous()
