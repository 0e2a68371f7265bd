"""Box filter: means over the square around each pixel."""

from jaxtyping import Float32
from torch import Tensor
from torch.nn.functional import avg_pool2d

from tasks.refine.cpu import kernels
from tasks.refine.cpu.arrays import run


def box_mean(images: Float32[Tensor, "b h w c"], radius: int) -> Float32[Tensor, "b h w c"]:
    """Mean over the part within the image of the square ``radius`` px around each pixel."""
    if images.device.type != "cpu":
        return box_mean_torch(images, radius)
    means = images.new_empty(images.shape)
    run(kernels.box_mean, images.flatten(2), images.shape[3], radius, means.flatten(2))
    return means


def mean_map(values: Float32[Tensor, "b h w"], radius: int) -> Float32[Tensor, "b h w"]:
    """The same of maps."""
    return box_mean(values[..., None], radius)[..., 0]


def box_mean_torch(images: Float32[Tensor, "b h w c"], radius: int) -> Float32[Tensor, "b h w c"]:
    """As :func:`box_mean`, on any device."""
    side = 2 * radius + 1
    planes = images.permute(0, 3, 1, 2)
    for window, padding in (((side, 1), (radius, 0)), ((1, side), (0, radius))):
        planes = avg_pool2d(planes, window, stride=1, padding=padding, count_include_pad=False)
    return planes.permute(0, 2, 3, 1)
