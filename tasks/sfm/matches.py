"""Pair matches of photos: what each two photos say of each other, whatever others there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """Keypoints of photos, and the pairs of them that two-view verification accepted.

    A pair was matched and verified with its two photos alone.
    """

    photo_index: Int32[np.ndarray, " k"]
    """Photo of each keypoint."""
    xy: Float32[np.ndarray, "k 2"]
    """Pixels of the undistorted photo."""
    pairs: Int32[np.ndarray, "m 2"]
    """Keypoints of two photos that show one point."""

    def only(self, photos: Sequence[int]) -> "Matches":
        """Keypoints and pairs of some photos, ascending, as if no others had been taken.

        ``photo_index`` of the result counts ``photos``.
        """
        kept = np.isin(self.photo_index, photos)
        place = np.cumsum(kept, dtype=np.int32) - np.int32(1)
        pairs = self.pairs[kept[self.pairs].all(1)]
        return Matches(
            photo_index=np.searchsorted(photos, self.photo_index[kept]).astype(np.int32),
            xy=self.xy[kept],
            pairs=place[pairs].reshape(-1, 2),
        )
