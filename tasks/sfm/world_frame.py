"""The world of a reconstruction: upright and in metres, as far as the photos tell."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.metrics.similarity import Similarity, align_cameras
from tasks.sfm.gps_fit import GpsFit, fit_freely, fit_upright, rotation_to_z
from tasks.sfm.gravity import MAX_ERROR_RAD, up_of_level_cameras

Origin = Literal["model", "level-cameras", "gps", "reference", "given"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorldFrame:
    """How the stored world follows from the mapper's."""

    world_from_model: Similarity
    source: Origin
    """`level-cameras`: upright by photos that were held level; `gps`: by positions, as far as
    ``upright`` and ``metric`` say; `reference`: that of the cameras that came with the photos;
    `given`: poses were given and kept; `model`: as the mapper chose it."""
    upright: bool = False
    """Whether z is known to point up."""
    metric: bool = False
    """Whether a unit is known to be a metre."""
    residual_m: float | None = None
    """Root mean square distance of the cameras from the positions that fixed the frame."""
    positions: int = 0
    """Photos whose positions agree on it."""
    tilt_error_deg: float | None = None
    """Standard error of z against gravity, where upright."""

    def attributes(self) -> dict[str, Any]:
        """JSON-able."""
        similarity = self.world_from_model
        return {
            "world_from_model": {
                "scale": similarity.scale,
                "rotation": similarity.rotation.tolist(),
                "translation": similarity.translation.tolist(),
            },
            "source": self.source,
            "upright": self.upright,
            "metric": self.metric,
            "residual_m": self.residual_m,
            "positions": self.positions,
            "tilt_error_deg": self.tilt_error_deg,
        }


def unchanged(source: Origin, *, metric: bool = False) -> WorldFrame:
    """The frame of a world that is kept as it is."""
    return WorldFrame(
        world_from_model=Similarity(scale=1.0, rotation=np.eye(3), translation=np.zeros(3)),
        source=source,
        metric=metric,
    )


def frame_of_reference(reference: Cameras, model: Cameras) -> WorldFrame:
    """The world of cameras that somebody vouches for, metres; its up is not known.

    Args:
        reference, model: the same cameras in the same order.

    Raises:
        DegenerateGeometryError: fewer than 2 cameras, or all of them in one place.
    """
    similarity = align_cameras(reference, model)
    off = np.linalg.norm(similarity.apply(model.centres) - reference.centres, axis=1)
    return WorldFrame(
        world_from_model=similarity,
        source="reference",
        metric=True,
        residual_m=float(np.sqrt((off**2).mean())),
        positions=len(model),
    )


def find_world_frame(
    cameras: Cameras, positions_m: Float64[np.ndarray, "n 3"] | None = None
) -> WorldFrame:
    """Upright where cameras were held level or positions tell, metric where positions do.

    The vertical is the better known of two: that of cameras that were held level
    (:func:`tasks.sfm.gravity.up_of_level_cameras`), and that of positions off a line. Positions
    on a line give the scale, and the heading too where the vertical is known.

    Args:
        cameras: that were mapped, in the mapper's world.
        positions_m: of the cameras: east, north, up; NaN where unknown, or only the height.

    Returns:
        z is up and y north, where known. The mapper's world where nothing is.
    """
    up = up_of_level_cameras(cameras.world_from_camera[:, :3, :3])
    free = upright = None
    if positions_m is not None:
        free = fit_freely(cameras.centres, positions_m)
        upright = fit_upright(cameras.centres, positions_m, up.direction) if up else None
    if free and free.tilt_error_rad <= min(MAX_ERROR_RAD, up.error_rad if up else np.inf):
        return _by_positions(free, free.similarity, free.tilt_error_rad)
    if up and upright:
        return _by_positions(upright, upright.similarity, up.error_rad)
    if up:
        return WorldFrame(
            world_from_model=Similarity(
                scale=1.0, rotation=rotation_to_z(up.direction), translation=np.zeros(3)
            ),
            source="level-cameras",
            upright=True,
            tilt_error_deg=float(np.degrees(up.error_rad)),
        )
    if free:
        scaled = Similarity(
            scale=free.similarity.scale, rotation=np.eye(3), translation=np.zeros(3)
        )
        return _by_positions(free, scaled, None)
    return unchanged("model")


def _by_positions(fit: GpsFit, similarity: Similarity, tilt_rad: float | None) -> WorldFrame:
    return WorldFrame(
        world_from_model=similarity,
        source="gps",
        upright=tilt_rad is not None,
        metric=True,
        residual_m=fit.residual_m,
        positions=int(fit.inliers.sum()),
        tilt_error_deg=None if tilt_rad is None else float(np.degrees(tilt_rad)),
    )
