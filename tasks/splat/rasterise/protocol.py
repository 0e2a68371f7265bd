"""What every rasteriser takes and gives."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendering:
    """Images of a splat, differentiable where the Gaussians, the poses and the background are.

    ``*c`` is the number of cameras if a stack of them was given, and nothing for a single one.
    """

    rgb: Float32[Tensor, "*c h w 3"]
    """Not clamped: a pixel may exceed 1."""
    alpha: Float32[Tensor, "*c h w"]
    """Share of the light that the Gaussians stop, 0..1."""
    depth: Float32[Tensor, "*c h w"] | None
    """Expected depth ``sum(w z) / alpha`` along the optical axis, world units; 0 where alpha is 0.
    None unless it was asked for."""
    median_depth: Float32[Tensor, "*c h w"] | None
    """Depth of the Gaussian that takes the transmittance from above 1/2 to 1/2 or below, world
    units; 0 where the Gaussians stop less than half of the light. It never lies between two
    surfaces, as the expected depth does at edges. Carries no gradient. None unless it was asked
    for."""
    weights: Float32[Tensor, "*c n"] | None
    """Each Gaussian's blending weights summed over an image, ``sum_p alpha_p T_p``: how many
    pixels it fills. They add up to the sum of ``alpha``. Carries no gradient. None unless it was
    asked for."""
    means2d: Float32[Tensor, "cameras n 2"] | Float32[Tensor, "m 2"]
    """Its ``grad`` after a backward pass is the gradient by each Gaussian's pixel position, which
    densification reads, and its ``absgrad``, if asked for, the sum over pixels of the absolute
    values of what each adds to it (Ye et al., AbsGS, ACM MM 2024), which does not cancel where
    pixels pull a Gaussian apart. Both are in units of the loss per pixel. Its values are pixel
    positions on CUDA and 0 on the CPU."""
    radii: Int32[Tensor, "cameras n 2"] | Int32[Tensor, "m 2"]
    """Half extents of each Gaussian along x and y, pixels; 0 where it is not in view."""
    gaussians: Int64[Tensor, " m"] | None = None
    """Which Gaussian each row of ``means2d`` and ``radii`` is of, where they are packed: a row for
    each Gaussian in view of each camera. None where they have a row for every Gaussian."""


@runtime_checkable
class Rasteriser(Protocol):
    """Renders Gaussians with pinhole cameras, as ``gsplat.rasterization`` does: EWA splatting
    (Zwicker et al., IEEE TVCG 8(3), 2002), front-to-back blending (Kerbl et al., ACM TOG 42(4),
    2023).

    There is no mask: a loss that gives a pixel no weight leaves it out, gradients included.
    """

    def __call__(
        self,
        means: Float32[Tensor, "n 3"],
        quats: Float32[Tensor, "n 4"],
        scales: Float32[Tensor, "n 3"],
        opacities: Float32[Tensor, " n"],
        sh: Float32[Tensor, "n k 3"],
        *,
        sh_rest: Float32[Tensor, "n m 3"] | None = None,
        camera_from_world: Float64[np.ndarray, "*c 4 4"] | Float[Tensor, "*c 4 4"],
        intrinsics: Float64[np.ndarray, "*c 3 3"],
        width: int,
        height: int,
        sh_degree: int,
        background: Float32[Tensor, "*c 3"] | Float32[Tensor, "*c h w 3"] | None = None,
        antialiased: bool = False,
        absgrad: bool = False,
        with_depth: bool = False,
        with_median_depth: bool = False,
        with_weights: bool = False,
        packed: bool = False,
    ) -> Rendering:
        """Render the image of one camera, or of each in a stack of one or more.

        A Gaussian that reaches the plane through the camera is not drawn: one whose mean is nearer
        to it than its standard deviation along the optical axis. Its projection means nothing there
        and may veil the whole image. (On CUDA one that reaches the plane of any camera of a stack
        is left out of the images of all.)

        Args:
            means: centres, world units.
            quats: rotations of the Gaussians' axes to the world, wxyz; need not be normalised.
            scales: standard deviations along the axes, world units (not their logarithm).
            opacities: 0..1 (not their logit).
            sh: spherical harmonics of the colour, RGB last, as in
                :class:`tasks.gaussians.Gaussians`.
            sh_rest: the coefficients after those of ``sh``, where a splat keeps them apart. On the
                CPU ``sh`` that holds degree 0 alone and its rest are read where they lie, which
                saves a copy of them and of their gradient.
            camera_from_world: OpenCV axes; rotation and translation, no scale; [4 4] or a stack
                [c 4 4], and then every argument and result marked ``*c`` is stacked. A tensor gets
                a gradient, which holds for changes that leave it a rotation and a translation.
            intrinsics: pixels, without skew.
            width: of the image, pixels; the same for a stack of cameras, as is the height.
            height: of the image, pixels.
            sh_degree: degree in use; the stored coefficients may hold more.
            background: colour behind the Gaussians, one or each pixel's; black if None.
            antialiased: lower the opacity of a Gaussian by as much as the 0.3 square pixels that
                are added to its 2D covariance widen it, ``sqrt(det C / det (C + 0.3 I))``, so that
                what is smaller than a pixel does not grow brighter from further away (Yu et al.,
                Mip-Splatting, CVPR 2024, sec. 5.2). A splat is shown the way it was fitted.
            absgrad: also leave ``means2d.absgrad`` after a backward pass.
            with_depth: also render the expected depth.
            with_median_depth: also render the median depth (Huang et al., SIGGRAPH 2024, sec. 4.1,
                who take the last Gaussian where the transmittance never falls to 1/2).
            with_weights: also sum the blending weights of each Gaussian.
            packed: on CUDA, keep what is worked out of Gaussians in view alone, which needs less
                memory where they are few; not together with the median depth or weights. The
                pictures are the same, and so is the CPU, which always does.

        Raises:
            InputError: a Gaussian is not finite (checked on the CPU only, where it costs nothing;
                harmonics are looked at for Gaussians in view).
        """
        ...
