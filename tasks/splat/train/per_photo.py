"""Terms of each photo in a fit: an affine map of colours and a correction of the pose.

Each term has a common part that the splat could absorb: a map of all photos' colours, a move of all
cameras. It is removed after every step, so that the splat keeps the colours of the mean photo and
stays in the frame of the cameras.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from tasks.runtime.context import Device
from tasks.splat.train.adam import adam_for
from tasks.splat.train.appearance import affine_colours
from tasks.splat.train.pose_corrections import corrected_pose, without_common_move
from tasks.splat.train.settings import TrainSettings

COLOUR_RATE = 5e-3
"""Learning rate of the colour maps, at the first iteration."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerPhotoFit:
    """Terms found for each photo; None for a term that was not fitted."""

    colours: Float32[np.ndarray, "p 3 4"] | None = None
    """Affine maps from the splat's colours to the photo's; their mean is the identity."""
    pose_deltas: Float32[np.ndarray, "p 6"] | None = None
    """Rotation and shift of each camera, see :mod:`tasks.splat.train.pose_corrections`."""


class PerPhoto:
    """Terms of all photos while they are fitted: colours by ``settings.appearance``, poses where
    ``settings.pose_learning_rate`` is not 0."""

    def __init__(self, settings: TrainSettings, device: Device) -> None:
        centres, self._extent = settings.centres, settings.extent
        self._device = device
        self._rows: dict[str, _Rows] = {}
        if settings.appearance == "affine":
            identity = torch.eye(3, 4, device=device)
            self._rows["colours"] = _Rows(
                identity.expand(len(centres), 3, 4),
                lambda maps: maps - (maps - identity).mean(0),
                COLOUR_RATE,
                settings.decay,
                device,
            )
        if settings.pose_learning_rate:
            arms = torch.from_numpy((centres - centres.mean(0)) / self._extent).to(
                device, torch.float32
            )
            self._rows["pose_deltas"] = _Rows(
                torch.zeros(len(centres), 6, device=device),
                lambda deltas: without_common_move(deltas, arms),
                settings.pose_learning_rate,
                settings.decay,
                device,
            )

    def pose(
        self, camera_from_world: Float64[np.ndarray, "4 4"], photo: int | None
    ) -> Float64[np.ndarray, "4 4"] | Float64[Tensor, "4 4"]:
        """Corrected pose of a photo; as given for an image that is not a photo (None)."""
        if photo is None or "pose_deltas" not in self._rows:
            return camera_from_world
        given = torch.from_numpy(camera_from_world).to(self._device)
        return corrected_pose(given, self._rows["pose_deltas"].of(photo), self._extent)

    def colours(self, rgb: Float32[Tensor, "h w 3"], photo: int | None) -> Float32[Tensor, "h w 3"]:
        """A rendering in the colours of a photo; unchanged for other images (None)."""
        if photo is None or "colours" not in self._rows:
            return rgb
        return affine_colours(rgb, self._rows["colours"].of(photo))

    def step(self) -> None:
        """Step the terms that have a gradient, then remove the common part of all."""
        for rows in self._rows.values():
            rows.step()

    def state(self) -> dict[str, dict[str, Any]]:
        """Values and optimisers; shares its tensors with the fit."""
        return {name: rows.state() for name, rows in self._rows.items()}

    def load(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Continue from the state of terms made from equal arguments."""
        for name, rows in self._rows.items():
            rows.load(state[name])

    def fit(self) -> PerPhotoFit:
        """The values, on the CPU."""
        return PerPhotoFit(**{name: rows.values.cpu().numpy() for name, rows in self._rows.items()})


class _Rows:
    """A tensor with a row for each photo. Adam leaves a row without a gradient, and its moments."""

    def __init__(
        self,
        start: Float32[Tensor, "p ..."],
        without_common: Callable[[Tensor], Tensor],
        rate: float,
        decay: float,
        device: Device,
    ) -> None:
        self.values = start.clone()
        self._without_common = without_common
        self._decay = decay
        self._rows = [row.detach().requires_grad_() for row in self.values]  # views of the values
        self._adam = adam_for(self._rows, rate, device)

    def of(self, photo: int) -> Tensor:
        return self._rows[photo]

    @torch.no_grad()
    def step(self) -> None:
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self.values.copy_(self._without_common(self.values))
        for group in self._adam.param_groups:
            group["lr"] *= self._decay

    def state(self) -> dict[str, Any]:
        return {"values": self.values, "optimiser": self._adam.state_dict()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        self.values.copy_(state["values"])
        self._adam.load_state_dict(dict(state["optimiser"]))
