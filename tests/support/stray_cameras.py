"""Two sets of the same cameras, of which some are planted astray."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tests.support.handmade_scores import cameras_at

TURN = Rotation.from_euler("xyz", [0.3, -1.2, 2.5]).as_matrix()
SHIFT = np.array([100.0, -4.0, 7.0])
SCALE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A model whose similarity to the reference is ``SCALE``, ``TURN``, ``SHIFT``."""

    reference: Cameras
    model: Cameras
    strays: tuple[int, ...]

    @property
    def honest(self) -> np.ndarray:
        return ~np.isin(np.arange(len(self.reference)), self.strays)


def turns_of(count: int, seed: int = 0) -> np.ndarray:
    """Random rotations [n 3 3]."""
    return Rotation.random(count, random_state=seed).as_matrix().reshape(-1, 3, 3)


def shaken(turns: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Rotations turned in their cameras' frames, by ``degrees`` on each axis as a deviation."""
    noise = np.radians(degrees) * rng.standard_normal((len(turns), 3))
    return turns @ Rotation.from_rotvec(noise).as_matrix()


def planted(
    centres: np.ndarray,
    turns: np.ndarray,
    strays: int,
    *,
    seed: int = 0,
    noise_deg: float = 0.2,
    noise: float = 0.002,
    offset: np.ndarray | None = None,
) -> Planted:
    """Model cameras at ``centres`` [n 3] with ``turns`` [n 3 3]; strays stand and look anywhere.

    Args:
        strays: how many, drawn by ``seed``.
        noise: deviation of the others' centres on each axis, a share of the extent.
        offset: turn of every model camera in its own frame.
    """
    rng = np.random.default_rng(seed)
    count = len(centres)
    extent = 2 * np.linalg.norm(centres - centres.mean(0), axis=1).max()
    astray = np.sort(rng.choice(count, strays, replace=False))
    found = centres + noise * extent * rng.standard_normal((count, 3))
    looking = shaken(turns if offset is None else turns @ offset, noise_deg, rng)
    found[astray] = centres.mean(0) + extent * rng.standard_normal((strays, 3))
    looking[astray] = turns_of(strays, seed + 1)
    return Planted(
        reference=cameras_at(SCALE * centres @ TURN.T + SHIFT, TURN @ turns),
        model=cameras_at(found, looking),
        strays=tuple(astray.tolist()),
    )
