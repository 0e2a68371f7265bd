"""Photos, observations and masks of a lens that distorts, and what masks leave out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates

from storage.store import Store
from tasks.cameras import CameraModel
from tasks.runtime.context import Context
from tasks.sfm.artefact import Sparse, arrays_of, attributes_of
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.config import Sift
from tasks.sfm.reconstruct import Reconstruction, SourcePhoto, reconstruct
from tests.tasks.sfm.conftest import photos_of, posed_photos_of, projected

TWO_THREADS = Context(threads=2)

COUNT = 3
MAGENTA = np.array([255, 0, 255], dtype=np.uint8)
"""A colour the fountain does not have."""


def distorted(photo: SourcePhoto, k1: float) -> SourcePhoto:
    """The photo as a lens with ``x_distorted = x (1 + k1 r^2)`` would have taken it."""
    assert photo.given is not None
    fx, fy, cx, cy = photo.given.camera_model.params
    height, width = photo.pixels.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    target = np.stack([(x - cx) / fx, (y - cy) / fy])
    ray = target.copy()
    for _ in range(20):  # the inverse has no closed form; a contraction for a lens as mild as this
        ray = target / (1 + k1 * (ray**2).sum(axis=0))
    where = [ray[1] * fy + cy - 0.5, ray[0] * fx + cx - 0.5]
    pixels = np.stack(
        [map_coordinates(photo.pixels[..., c], where, order=1, mode="nearest") for c in range(3)],
        axis=-1,
    )
    model = CameraModel(model="OPENCV", params=(fx, fy, cx, cy, k1, 0.0, 0.0, 0.0))
    return replace(photo, pixels=pixels, given=replace(photo.given, camera_model=model))


def masked(photo: SourcePhoto) -> SourcePhoto:
    """Without a disc at the left and a bar at the right."""
    height, width = photo.pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    mask = ((x - 0.35 * width) ** 2 + (y - 0.5 * height) ** 2 > (0.2 * height) ** 2) & (
        x < 0.85 * width
    )
    return replace(photo, mask=mask)


def painted(photo: SourcePhoto) -> SourcePhoto:
    """With its masked-out pixels in magenta."""
    assert photo.mask is not None
    return replace(photo, pixels=np.where(photo.mask[..., None], photo.pixels, MAGENTA))


def magenta(pixels: np.ndarray) -> np.ndarray:
    """Where a pixel has a share of it that the fountain's grey stone has not."""
    return np.minimum(pixels[..., 0], pixels[..., 2]).astype(int) - pixels[..., 1] > 60


@pytest.fixture(scope="module")
def originals() -> list[SourcePhoto]:
    return list(posed_photos_of("fountain_p11", COUNT))


@pytest.fixture(scope="module")
def fountain(
    originals: list[SourcePhoto], tmp_path_factory: pytest.TempPathFactory
) -> Reconstruction:
    """The first photo has no mask; in the third what is masked out is painted over."""
    first, second, third = (distorted(photo, -0.15) for photo in originals)
    return reconstruct(
        [first, masked(second), painted(masked(third))],
        SfmConfig(features=Sift(max_features=2048)),
        work_folder=tmp_path_factory.mktemp("sfm"),
        poses="given",
        context=TWO_THREADS,
    )


def test_observations_are_undistorted_with_the_photos(fountain: Reconstruction) -> None:
    seen = fountain.observations
    image = projected(fountain.cameras, seen.photo_index, fountain.points[seen.point_index])
    assert len(fountain.points) > 200
    assert np.median(np.linalg.norm(image - seen.xy, axis=1)) < 0.3


def test_undistorted_photos_match_the_undistorted_cameras(
    fountain: Reconstruction, originals: list[SourcePhoto]
) -> None:
    for index, (photo, original) in enumerate(zip(fountain.photos, originals, strict=True)):
        assert original.given is not None
        np.testing.assert_array_equal(
            fountain.cameras.camera_from_world[index], original.given.camera_from_world
        )
        fx, fy, cx, cy = original.given.camera_model.params
        k = fountain.cameras.intrinsics[index]
        height, width = photo.shape[:2]
        y, x = np.mgrid[:height, :width] + 0.5
        where = [
            (y - k[1, 2]) / k[1, 1] * fy + cy - 0.5,
            (x - k[0, 2]) / k[0, 0] * fx + cx - 0.5,
        ]
        expected = map_coordinates(original.pixels[..., 1], where, order=1, mode="nearest")
        inner = np.zeros((height, width), dtype=bool)
        inner[8:-8, 8:-8] = True
        mask = fountain.masks[index]
        chosen = inner if mask is None else inner & mask
        difference = np.abs(photo[..., 1].astype(float) - expected)[chosen]
        assert np.median(difference) <= 4
        assert np.sqrt((difference**2).mean()) < 14


def test_masks_are_undistorted_with_their_photos(fountain: Reconstruction) -> None:
    assert fountain.masks[0] is None
    assert fountain.masks[1] is not None
    assert fountain.masks[1].shape == fountain.photos[1].shape[:2]
    photo, mask = fountain.photos[2], fountain.masks[2]
    assert mask is not None
    assert mask.shape == photo.shape[:2]
    assert 0.5 < mask.mean() < 0.9
    assert not (magenta(photo) & mask).any()
    # and not more is left out than the pixels that were interpolated with it
    assert (~mask & ~magenta(photo)).mean() < 0.02


def test_features_on_masked_out_pixels_are_not_used(fountain: Reconstruction) -> None:
    for index in range(1, COUNT):
        mask = fountain.masks[index]
        assert mask is not None
        height, width = mask.shape
        xy = fountain.observations.of_photos([index]).xy
        inside = xy[((xy >= 0) & (xy < [width, height])).all(axis=1)].astype(int)
        assert len(inside) > 100
        # Interpolation took up to a pixel's diagonal off the mask.
        beyond_px = distance_transform_edt(~mask)[inside[:, 1], inside[:, 0]]
        assert beyond_px.max() < 1.5
        assert (beyond_px == 0).mean() > 0.99


def test_masks_are_read_back_from_the_store(fountain: Reconstruction, tmp_path: Path) -> None:
    handle = Store(root=str(tmp_path)).commit(
        "fountain", "sparse", arrays_of(fountain), attributes_of(fountain)
    )

    stored = Sparse(handle)

    assert stored.masks[0] is None
    for index in range(1, COUNT):
        np.testing.assert_array_equal(stored.masks[index], fountain.masks[index])
    assert handle.attributes["poses"] == "given"


@pytest.mark.slow
def test_masks_are_applied_with_estimated_poses_too(tmp_path: Path) -> None:
    photos = [painted(masked(photo)) for photo in photos_of("fountain_p11", 5)]

    found = reconstruct(
        photos,
        SfmConfig(features=Sift(max_features=2048)),
        work_folder=tmp_path,
        context=TWO_THREADS,
    )

    assert found.poses == "estimated"
    assert len(found.cameras) >= 3
    for photo, mask in zip(found.photos, found.masks, strict=True):
        assert mask is not None
        assert not (magenta(photo) & mask).any()
