"""Inputs and results of every rasteriser: splat, cameras, options, rendering."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplatTensors:
    """Gaussians in the units of the rendering equations, all on one device."""

    means: Float32[Tensor, "n 3"]
    """Centres, world units."""
    quats: Float32[Tensor, "n 4"]
    """Rotations from the Gaussians' axes to the world, wxyz; need not be normalised."""
    scales: Float32[Tensor, "n 3"]
    """Standard deviations along the axes, world units (not their logarithm)."""
    opacities: Float32[Tensor, " n"]
    """0..1 (not their logit)."""
    sh: Float32[Tensor, "n k 3"]
    """Spherical harmonics of the colour, RGB last, as in :class:`tasks.gaussians.Gaussians`."""
    sh_rest: Float32[Tensor, "n m 3"] | None = None
    """Coefficients after those of ``sh``, if a splat stores them separately. The CPU reads an
    ``sh`` of degree 0 alone and its rest in place, which saves a copy of them and of their
    gradient."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PinholeCameras:
    """One camera, or a stack of one or more of equal image size, and their backgrounds.

    ``*c`` is the number of cameras of a stack, and nothing for a single one.
    """

    camera_from_world: Float64[np.ndarray, "*c 4 4"] | Float[Tensor, "*c 4 4"]
    """OpenCV axes; rotation and translation, no scale. A tensor gets a gradient, which holds for
    changes that leave it a rotation and a translation."""
    intrinsics: Float64[np.ndarray, "*c 3 3"]
    """Pixels, without skew."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    background_image: Float32[Tensor, "*c 3"] | Float32[Tensor, "*c h w 3"] | None = None
    """Colour behind the Gaussians: one, or one for each pixel; None for black."""

    @property
    def is_stack(self) -> bool:
        return self.camera_from_world.ndim == 3

    def as_stack(self) -> "PinholeCameras":
        """A single camera as a stack of one; a stack unchanged."""
        if self.is_stack:
            return self
        background = self.background_image
        return replace(
            self,
            camera_from_world=self.camera_from_world[None],
            intrinsics=self.intrinsics[None],
            background_image=None if background is None else background[None],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """Model of the image, and the results beyond colour and alpha."""

    sh_degree: int
    """Highest degree of spherical harmonics to evaluate; more coefficients may be stored."""
    antialiased: bool = False
    """Scale the opacity of a Gaussian by ``sqrt(det C / det (C + 0.3 I))``, which compensates for
    the 0.3 square pixels added to its 2D covariance C: without it, Gaussians smaller than a pixel
    grow brighter with distance (Yu et al., Mip-Splatting, CVPR 2024, sec. 5.2). A splat must be
    rendered as it was fitted."""
    absgrad: bool = False
    """Set ``means2d.absgrad`` in the backward pass."""
    with_depth: bool = False
    """Render the expected depth."""
    with_median_depth: bool = False
    """Render the median depth (Huang et al., SIGGRAPH 2024, sec. 4.1, who take the last Gaussian
    where the transmittance never falls to 1/2)."""
    with_weights: bool = False
    """Sum the blending weights of each Gaussian."""
    packed: bool = False
    """On CUDA, store projections only of Gaussians in view, which saves memory where they are few;
    not together with the median depth or weights. Images are equal. The CPU ignores it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendering:
    """Images of a splat, differentiable where the Gaussians, the poses and the background are.

    ``*c`` is the number of cameras of a stack, and nothing for a single camera.
    """

    rgb: Float32[Tensor, "*c h w 3"]
    """Not clamped: a pixel may exceed 1."""
    alpha: Float32[Tensor, "*c h w"]
    """Fraction of the light that the Gaussians stop, 0..1."""
    depth: Float32[Tensor, "*c h w"] | None
    """Expected depth ``sum(w z) / alpha`` along the optical axis, world units; 0 where alpha is 0.
    None unless requested."""
    median_depth: Float32[Tensor, "*c h w"] | None
    """Depth of the Gaussian that takes the transmittance from above 1/2 to 1/2 or below, world
    units; 0 where the Gaussians stop less than half of the light. It never lies between two
    surfaces, as the expected depth does at edges. Carries no gradient. None unless requested."""
    weights: Float32[Tensor, "*c n"] | None
    """Each Gaussian's blending weights summed over an image, ``sum_p alpha_p T_p``: the number of
    pixels it fills. They add up to the sum of ``alpha``. Carries no gradient. None unless
    requested."""
    means2d: Float32[Tensor, "cameras n 2"] | Float32[Tensor, "m 2"]
    """Its ``grad`` after a backward pass is the gradient by each Gaussian's pixel position, which
    densification reads, and its ``absgrad``, if requested, the sum of the absolute values of the
    pixels' contributions (Ye et al., AbsGS, ACM MM 2024), which does not cancel where pixels pull
    a Gaussian apart. Both are in units of the loss per pixel. Its values are pixel
    positions on CUDA and 0 on the CPU."""
    radii: Int32[Tensor, "cameras n 2"] | Int32[Tensor, "m 2"]
    """Half extents of each Gaussian along x and y, pixels; 0 where it is not in view."""
    gaussians: Int64[Tensor, " m"] | None = None
    """Index of the Gaussian of each row of ``means2d`` and ``radii``, if packed: a row for each
    Gaussian in view of each camera. None if they have a row for every Gaussian."""


@runtime_checkable
class Rasteriser(Protocol):
    """Renders Gaussians with pinhole cameras, as ``gsplat.rasterization`` does: EWA splatting
    (Zwicker et al., IEEE TVCG 8(3), 2002), front-to-back blending (Kerbl et al., ACM TOG 42(4),
    2023).

    There is no mask: a loss that gives a pixel no weight leaves it out, gradients included.
    """

    def __call__(
        self, splat: SplatTensors, cameras: PinholeCameras, options: RenderOptions
    ) -> Rendering:
        """Render the image of one camera, or of each camera of a stack.

        A Gaussian that reaches the plane through the camera is not drawn: one whose mean is nearer
        to it than its standard deviation along the optical axis. Its projection is meaningless
        there and may veil the whole image. Each image of a stack is that of its camera alone.

        Returns:
            The images, stacked if the cameras are.

        Raises:
            InputError: a Gaussian is not finite (checked on the CPU only, where it costs nothing;
                harmonics are checked for Gaussians in view).
        """
        ...
