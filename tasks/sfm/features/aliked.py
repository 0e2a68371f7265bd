"""ALIKED: keypoints and descriptors of a photo by a small network.

Four blocks see the photo at 1, 1/2, 1/8 and 1/32 of its size, the last two by deformable
convolutions. Their features, brought to 32 channels each and to full size, are the feature map F
[128 h w]. A head makes the score map S of F; the descriptor of a keypoint gathers F, of unit length
in each pixel, at 16 places that F itself chooses around the keypoint.

F is never made at full size. The head's first layer and bilinear enlargement are both linear, so
they change places; and descriptors need F in some pixels only. Batch norms are folded into
the convolutions before them, with the statistics of the training: a network that is loaded cannot
be in training mode.

Source: Zhao et al., ALIKED: A Lighter Keypoint and Descriptor Extraction Network via Deformable
Transformation, IEEE Trans. Instrum. Meas. 72, 2023, section III; padding, borders and the order of
channels as the published weights expect them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

from tasks.sfm.features.deformable import deformable_convolution, sampled

POOLED = (1, 2, 4, 4)
"""Edge of the square that becomes a pixel, before each block."""
SCALES = (1, 2, 8, 32)
"""Size of the photo over that of each block's features."""
MULTIPLE = 32
"""The photo is extended to sizes that are multiples of this."""
LARGEST_OFFSET = 0.25
"""Of the longer side."""
EPSILON = 1e-5
"""Of batch norms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convolution:
    """A convolution that keeps the size, then a batch norm's scale and shift."""

    weight: Float32[Tensor, "d c k k"]
    bias: Float32[Tensor, " d"] | None

    def __call__(self, image: Tensor) -> Tensor:
        return functional.conv2d(image, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deformable:
    """A deformable convolution, its offsets by a convolution; then as above."""

    offsets: Convolution
    weight: Float32[Tensor, "d c k k"]
    bias: Float32[Tensor, " d"]

    def __call__(self, image: Tensor) -> Tensor:
        limit = LARGEST_OFFSET * max(image.shape[-2:])
        offsets = self.offsets(image).clamp(-limit, limit)
        found = deformable_convolution(image, offsets, self.weight)
        return found + self.bias[:, None, None]


Layer = Convolution | Deformable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Two layers; with a shortcut from the second block on."""

    first: Layer
    second: Layer
    shortcut: Convolution | None

    def __call__(self, image: Tensor) -> Tensor:
        found = self.second(functional.selu(self.first(image), inplace=True))
        if self.shortcut is not None:
            found += self.shortcut(image)
        return functional.selu(found, inplace=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DescriptorHead:
    """Descriptors from features at places around keypoints."""

    look: Convolution
    """Of the 3x3 features around a keypoint; the first layer that chooses the places."""
    place: Convolution
    """The second: x of all places, then y, px."""
    project: Float32[Tensor, "c c"]
    gather: Float32[Tensor, "m c c"]
    """Of each place: features to descriptor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aliked:
    """The network, on one device."""

    blocks: Sequence[Block]
    reduce: Sequence[Convolution]
    """Of each block: to its part of the feature map."""
    score: Sequence[Convolution]
    describe: DescriptorHead


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureMap:
    """The feature map of a photo in its four parts, each at its own size."""

    parts: Sequence[Float32[Tensor, "1 _ _ _"]]
    corner: tuple[int, int]
    """x and y of the photo's first pixel in the extended photo."""
    size: tuple[int, int]
    """Width and height of the photo, px."""

    def at(self, xy: Int64[Tensor, "n 2"]) -> Float32[Tensor, "n c"]:
        """Features of unit length in pixels of the photo."""
        height, width = self.parts[0].shape[-2:]
        place = (xy + xy.new_tensor(self.corner)).float()
        found = [self.parts[0][0, :, *(xy + xy.new_tensor(self.corner)).T.flip(0)]]
        for part in self.parts[1:]:
            # Corners lie on corners, as in the enlargement that the network was trained with.
            ratio = place.new_tensor(
                [(part.shape[-1] - 1) / (width - 1), (part.shape[-2] - 1) / (height - 1)]
            )
            found.append(sampled(part, (place * ratio)[None, None])[0, :, 0])
        return functional.normalize(torch.cat(found).T, dim=1)

    def between(self, xy: Float32[Tensor, "n 2"]) -> Float32[Tensor, "n c"]:
        """Features between pixel centres, which are whole numbers; zero outside the photo."""
        whole = xy.floor()
        part = xy - whole
        found = xy.new_zeros((len(xy), sum(one.shape[1] for one in self.parts)))
        size = whole.new_tensor(self.size)
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
            step = whole.new_tensor(corner)
            pixel = whole + step
            inside = ((pixel >= 0) & (pixel < size)).all(dim=1)
            share = (1 - (step - part).abs()).prod(dim=1) * inside
            known = self.at(torch.minimum(pixel.clamp(min=0), size - 1).long())
            found += share[:, None] * known
        return found


def score_and_features(
    network: Aliked, image: Float32[Tensor, "1 3 h w"]
) -> tuple[Float32[Tensor, "h w"], FeatureMap]:
    """Score of each pixel as a keypoint, 0 to 1, and the feature map.

    Args:
        image: RGB in [0, 1].
    """
    height, width = image.shape[-2:]
    more_y, more_x = -height % MULTIPLE, -width % MULTIPLE
    left, top = more_x // 2, more_y // 2
    features = functional.pad(image, (left, more_x - left, top, more_y - top), mode="replicate")
    full = features.shape[-2:]
    parts: list[Tensor] = []
    score: Tensor | None = None
    start = 0
    for pooled, block, reduce in zip(POOLED, network.blocks, network.reduce, strict=True):
        if pooled > 1:
            features = functional.avg_pool2d(features, pooled)
        features = block(features)
        part = functional.selu(reduce(features), inplace=True)
        share = functional.conv2d(part, network.score[0].weight[:, start : start + part.shape[1]])
        if share.shape[-2:] != full:
            share = functional.interpolate(share, full, mode="bilinear", align_corners=True)
        score = share if score is None else score.add_(share)
        start += part.shape[1]
        parts.append(part)
    assert score is not None
    for layer in network.score[1:]:
        score = layer(functional.selu(score, inplace=True))
    inner = score[0, 0, top : top + height, left : left + width].sigmoid()
    return inner, FeatureMap(parts=parts, corner=(left, top), size=(width, height))


def descriptors(
    head: DescriptorHead, features: FeatureMap, xy: Float32[Tensor, "n 2"]
) -> Float32[Tensor, "n c"]:
    """Descriptors of keypoints, of unit length.

    Args:
        xy: pixels of the photo, whose centres are whole numbers.
    """
    width, height = features.size
    count, side = len(xy), head.look.weight.shape[-1]
    places = len(head.gather)
    # The square stays inside, and a pixel away from the right and lower border.
    last = xy.new_tensor([width - 1 - side, height - 1 - side]).clamp(min=0)
    corner = torch.minimum((xy.floor() - side // 2).clamp(min=0), last).long()
    steps = torch.arange(side, device=xy.device)
    square = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).view(-1, 2)
    around = features.at((corner[:, None] + square).view(-1, 2))
    around = around.reshape(count, side * side, around.shape[1]).transpose(1, 2).flatten(1)
    look, place = head.look, head.place
    found = functional.selu(functional.linear(around, look.weight.flatten(1), look.bias))
    found = functional.linear(found, place.weight.flatten(1), place.bias)
    limit = LARGEST_OFFSET * max(width, height)
    offsets = found.clamp(-limit, limit).view(count, 2, places).transpose(1, 2)
    seen = features.between((xy[:, None] + offsets).reshape(-1, 2))
    seen = seen.reshape(count, places, seen.shape[1])
    seen = functional.selu(seen @ head.project.T)
    return functional.normalize(torch.einsum("nmc,mcd->nd", seen, head.gather), dim=1)


def aliked_network(tensors: Mapping[str, Tensor], device: str = "cpu") -> Aliked:
    """The network from tensors by their published names; its sizes are theirs.

    Raises:
        KeyError: one is missing.
    """
    on = {name: tensor.to(device) for name, tensor in tensors.items()}
    return Aliked(
        blocks=[_block(on, f"block{index}") for index in (1, 2, 3, 4)],
        reduce=[_plain(on, f"conv{index}") for index in (1, 2, 3, 4)],
        score=[_plain(on, f"score_head.{index}") for index in (0, 2, 4, 6)],
        describe=DescriptorHead(
            look=_plain(on, "desc_head.offset_conv.0"),
            place=_plain(on, "desc_head.offset_conv.2"),
            project=on["desc_head.sf_conv.weight"].flatten(1),
            gather=on["desc_head.agg_weights"],
        ),
    )


def _plain(tensors: Mapping[str, Tensor], name: str) -> Convolution:
    return Convolution(weight=tensors[f"{name}.weight"], bias=tensors.get(f"{name}.bias"))


def _block(tensors: Mapping[str, Tensor], name: str) -> Block:
    shortcut = f"{name}.downsample"
    return Block(
        first=_layer(tensors, f"{name}.conv1", f"{name}.bn1"),
        second=_layer(tensors, f"{name}.conv2", f"{name}.bn2"),
        shortcut=_plain(tensors, shortcut) if f"{shortcut}.weight" in tensors else None,
    )


def _layer(tensors: Mapping[str, Tensor], name: str, norm: str) -> Layer:
    """A convolution with the batch norm after it."""
    spread = (tensors[f"{norm}.running_var"].double() + EPSILON).sqrt()
    scale = tensors[f"{norm}.weight"].double() / spread
    shift = tensors[f"{norm}.bias"].double() - tensors[f"{norm}.running_mean"].double() * scale
    bias = shift.float()
    if f"{name}.weight" in tensors:
        weight = tensors[f"{name}.weight"].double() * scale[:, None, None, None]
        return Convolution(weight=weight.float(), bias=bias)
    weight = tensors[f"{name}.regular_conv.weight"].double() * scale[:, None, None, None]
    return Deformable(
        offsets=_plain(tensors, f"{name}.offset_conv"), weight=weight.float(), bias=bias
    )
