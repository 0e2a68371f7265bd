"""What a photo may have of its own in a fit: an affine map of colours, a correction of its pose.

Each is free in one way that the splat could make up for: a common map of all photos' colours, a
common move of all cameras. It is taken out after every step, so that the splat keeps the colours of
the mean photo and stays in the frame of the cameras.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from tasks.runtime.context import Device
from tasks.splat.config import Appearance
from tasks.splat.train.adam import adam_for
from tasks.splat.train.appearance import affine_colours
from tasks.splat.train.pose_corrections import corrected_pose, without_common_move

COLOUR_RATE = 5e-3
"""Learning rate of the colour maps, at the first iteration."""
LAST_RATE = 0.01
"""Learning rates at the last iteration, in those at the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OfPhotos:
    """What was found for each photo; None for what was not asked for."""

    colours: Float32[np.ndarray, "p 3 4"] | None = None
    """Takes the colours of the splat to those of the photo; the mean is the identity."""
    moves: Float32[np.ndarray, "p 6"] | None = None
    """Of the cameras: rotation and shift, see :mod:`tasks.splat.train.pose_corrections`."""


class PhotoTerms:
    """The terms of all photos while they are fitted.

    Args:
        appearance: whether photos have colours of their own.
        pose_learning_rate: at the first iteration, radians and extents; 0 leaves poses as they are.
        centres: of the photos' cameras, world units.
        extent: of the scene, world units.
        iterations: over which the learning rates fall.
    """

    def __init__(
        self,
        *,
        appearance: Appearance,
        pose_learning_rate: float,
        centres: Float64[np.ndarray, "p 3"],
        extent: float,
        iterations: int,
        device: Device,
    ) -> None:
        falling = LAST_RATE ** (1 / iterations)
        self._extent = extent
        self._device = device
        self._rows: dict[str, _Rows] = {}
        if appearance == "affine":
            identity = torch.eye(3, 4, device=device)
            self._rows["colours"] = _Rows(
                identity.expand(len(centres), 3, 4),
                lambda maps: maps - (maps - identity).mean(0),
                COLOUR_RATE,
                falling,
                device,
            )
        if pose_learning_rate:
            arms = torch.from_numpy((centres - centres.mean(0)) / extent).to(device, torch.float32)
            self._rows["moves"] = _Rows(
                torch.zeros(len(centres), 6, device=device),
                lambda moves: without_common_move(moves, arms),
                pose_learning_rate,
                falling,
                device,
            )

    def pose(
        self, camera_from_world: Float64[np.ndarray, "4 4"], photo: int | None
    ) -> Float64[np.ndarray, "4 4"] | Float64[Tensor, "4 4"]:
        """Where a photo was taken from; as given for an image that is no photo (None)."""
        if photo is None or "moves" not in self._rows:
            return camera_from_world
        given = torch.from_numpy(camera_from_world).to(self._device)
        return corrected_pose(given, self._rows["moves"].of(photo), self._extent)

    def seen(self, rgb: Float32[Tensor, "h w 3"], photo: int | None) -> Float32[Tensor, "h w 3"]:
        """A rendering in the colours of a photo; as it is for an image that is no photo (None)."""
        if photo is None or "colours" not in self._rows:
            return rgb
        return affine_colours(rgb, self._rows["colours"].of(photo))

    def step(self) -> None:
        """Move what has a gradient, then take out what all have in common."""
        for rows in self._rows.values():
            rows.step()

    def state(self) -> dict[str, dict[str, Any]]:
        """All that changes; shares its tensors with the optimisation."""
        return {name: rows.state() for name, rows in self._rows.items()}

    def load(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from a state of terms of the same arguments."""
        for name, rows in self._rows.items():
            rows.load(state[name])

    def found(self) -> OfPhotos:
        return OfPhotos(**{name: rows.values.cpu().numpy() for name, rows in self._rows.items()})


class _Rows:
    """A tensor with a row a photo. Adam keeps a row still, its moments too, until its turn."""

    def __init__(
        self,
        start: Float32[Tensor, "p ..."],
        without_common: Callable[[Tensor], Tensor],
        rate: float,
        falling: float,
        device: Device,
    ) -> None:
        self.values = start.clone()
        self._without_common = without_common
        self._falling = falling
        self._rows = [row.detach().requires_grad_() for row in self.values]  # where they lie
        self._adam = adam_for(self._rows, rate, device)

    def of(self, photo: int) -> Tensor:
        return self._rows[photo]

    @torch.no_grad()
    def step(self) -> None:
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self.values.copy_(self._without_common(self.values))
        for group in self._adam.param_groups:
            group["lr"] *= self._falling

    def state(self) -> dict[str, Any]:
        return {"values": self.values, "optimiser": self._adam.state_dict()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        self.values.copy_(state["values"])
        self._adam.load_state_dict(dict(state["optimiser"]))
