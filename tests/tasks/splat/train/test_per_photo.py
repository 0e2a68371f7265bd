"""Colour maps and pose corrections per photo, on splats and scenes with known perturbations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from storage.store import Store
from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.images import to_uint8
from tasks.splat.artefact import arrays_of, attributes_of
from tasks.splat.config import Default, EveryNth, SplatConfig
from tasks.splat.fit import Splat, fit, psnr_db_on
from tasks.splat.render import render
from tasks.splat.train.batches import photo_order
from tasks.splat.train.per_photo import PerPhoto
from tasks.splat.train.settings import TrainSettings
from tasks.splat.train.targets import Batch, photo_views
from tasks.splat.train.trainer import Fitted, train
from tasks.splat.training_photos import PosedPhotos, SizedPhotos, sized_photos
from tests.support.painted_plane import photograph

IDENTITY = np.eye(3, 4)
COUNT = 6


@pytest.fixture(scope="module")
def known() -> Gaussians:
    """A cloud about the origin."""
    generator = torch.Generator().manual_seed(0)
    return Gaussians(
        means=torch.randn(400, 3, generator=generator) * 0.7,
        quats=torch.randn(400, 4, generator=generator),
        log_scales=torch.randn(400, 3, generator=generator) * 0.3 - 2,
        logit_opacities=torch.randn(400, generator=generator) + 1,
        sh=torch.randn(400, 1, 3, generator=generator) * 0.8,
    )


@pytest.fixture(scope="module")
def around() -> Cameras:
    """Cameras all around it, two units away."""
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    turns = [[0.3 * np.cos(2 * i), 2 * np.pi * i / COUNT, 0.1 * i] for i in range(COUNT)]
    poses[:, :3, :3] = Rotation.from_euler("xyz", turns).as_matrix()
    poses[:, 2, 3] = 2.0
    return Cameras(
        names=tuple(f"{index}.png" for index in range(COUNT)),
        camera_from_world=poses,
        intrinsics=np.tile(np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), (COUNT, 1, 1)),
        sizes=np.tile(np.array([[64, 48]], dtype=np.int64), (COUNT, 1)),
    )


def rendered(splat: Gaussians, cameras: Cameras) -> list[np.ndarray]:
    return [
        np.clip(render(splat, cameras, index).rgb.numpy(), 0, 1) for index in range(len(cameras))
    ]


def mapped(rgb: np.ndarray, own: np.ndarray) -> np.ndarray:
    return (rgb @ own[:, :3].T + own[:, 3]).astype(np.float32)


def without_common(corrections: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """What is left when the mean rotation, mean shift and growth of the cameras are taken out."""
    turns, shifts = corrections[:, :3], corrections[:, 3:] - corrections[:, 3:].mean(0)
    moved = np.cross(turns.mean(0), arms)
    growth = np.vdot(arms, shifts) / np.vdot(arms, arms)
    return np.concatenate([turns - turns.mean(0), shifts - moved - growth * arms], axis=1)


def jittered(cameras: Cameras, corrections: np.ndarray, extent: float) -> Cameras:
    """Cameras which the corrections take to ``cameras``."""
    poses = cameras.camera_from_world.copy()
    for pose, centre, correction in zip(poses, cameras.centres, corrections, strict=True):
        pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(correction[:3]).as_matrix()
        pose[:3, 3] = -pose[:3, :3] @ (centre - extent * correction[3:])
    return replace(cameras, camera_from_world=poses)


def settings(cameras: Cameras, **options: object) -> TrainSettings:
    """Of a training that never changes the number of Gaussians."""
    plain = TrainSettings(
        iterations=10,
        extent=1.0,
        densify=None,
        most_gaussians=1000,
        ssim_weight=0.2,
        opacity_weight=0.0,
        scale_weight=0.0,
        centres=cameras.centres,
        seed=0,
    )
    return replace(plain, **options)  # type: ignore[arg-type]


def corrected(
    known: Gaussians,
    photos: list[np.ndarray],
    cameras: Cameras,
    *,
    weights: list[np.ndarray] | None = None,
    **options: object,
) -> Fitted:
    """What is found for photos of a splat that stays as it is."""
    iterations = 100 * COUNT
    views = photo_views(
        SizedPhotos(
            cameras=cameras,
            photos=[to_uint8(photo) for photo in photos],
            weights=list(weights or [None] * COUNT),
        )
    )
    order = photo_order(COUNT, 0)
    return train(
        known,
        (Batch(views=(views[next(order)],), sh_degree=0) for _ in range(iterations)),
        settings(cameras, extent=2.0, iterations=iterations, lr_scale=0.0, **options),
    )


def test_known_colour_maps_are_recovered(known: Gaussians, around: Cameras) -> None:
    generator = np.random.default_rng(1)
    maps = IDENTITY + generator.normal(0, 0.04, (COUNT, 3, 4))
    maps -= maps.mean(0) - IDENTITY
    seen = rendered(known, around)
    covered = [
        (render(known, around, index).alpha.numpy() > 0.5).astype(np.float32)
        for index in range(COUNT)
    ]  # beyond is black, which a map may take below 0
    photos = [mapped(rgb, own).clip(0, 1) for rgb, own in zip(seen, maps, strict=True)]

    found = corrected(known, photos, around, weights=covered, appearance="affine").per_photo

    assert found.pose_deltas is None
    assert found.colours is not None
    np.testing.assert_allclose(found.colours.mean(0), IDENTITY, atol=1e-6)
    before, after = (
        [
            np.abs(mapped(rgb, one) - mapped(rgb, own))[use > 0].mean()
            for rgb, one, own, use in zip(seen, guess, maps, covered, strict=True)
        ]
        for guess in (np.tile(IDENTITY, (COUNT, 1, 1)), found.colours)
    )
    assert np.mean(after) < 0.25 * np.mean(before)


def test_known_pose_errors_are_recovered(known: Gaussians, around: Cameras) -> None:
    arms = (around.centres - around.centres.mean(0)) / 2.0
    corrections = without_common(np.random.default_rng(2).normal(0, 0.01, (COUNT, 6)), arms)
    cameras = jittered(around, corrections, extent=2.0)

    fitted = corrected(known, rendered(known, around), cameras, pose_learning_rate=2e-3)

    assert torch.equal(fitted.gaussians.means, known.means)
    found = fitted.per_photo.pose_deltas
    assert found is not None
    assert np.sqrt(np.mean((found - corrections) ** 2)) < 0.25 * np.sqrt(np.mean(corrections**2))


def test_an_image_that_is_no_photo_has_no_colour_map_and_no_pose_delta(around: Cameras) -> None:
    terms = PerPhoto(settings(around, appearance="affine", pose_learning_rate=0.1), "cpu")
    pose, rgb = around.camera_from_world[0], torch.rand(4, 5, 3)
    assert terms.pose(pose, None) is pose
    assert terms.colours(rgb, None) is rgb
    pulled = terms.colours(rgb, 2).sum() + terms.pose(pose, 2)[:3].sum()
    torch.autograd.backward(pulled)
    terms.step()
    assert not torch.equal(terms.colours(rgb, 2), rgb)
    assert terms.colours(rgb, None) is rgb


SPLIT = EveryNth(n=4, offset=1, validation=0)  # holds out photos 1 and 5
TRAINING = [0, 2, 3, 4, 6, 7]
CONFIG = SplatConfig(
    iterations=300, sh_every=100, densify=Default(start=50, every=50), sh_degree=1, seed=3
)


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


def fitted(
    scene: PosedPhotos,
    *,
    photos: list[np.ndarray] | None = None,
    cameras: Cameras | None = None,
    **options: object,
) -> Splat:
    posed = replace(scene, cameras=cameras or scene.cameras, photos=photos or scene.photos)
    return fit(posed, SPLIT, CONFIG.model_copy(update=options))


def held_out_psnr_db(scene: PosedPhotos, splat: Splat) -> float:
    """Of raw views, on the photos as they were painted, from where they were taken."""
    seen = sized_photos(scene.cameras, scene.photos, [1, 5], 640)
    return float(np.mean(psnr_db_on(splat.fitted.gaussians, seen)))


def test_colour_maps_keep_exposure_differences_out_of_the_splat(scene: PosedPhotos) -> None:
    generator = np.random.default_rng(1)
    noise = [generator.normal(0, 0.08, (8, 3, 3)), generator.normal(0, 0.05, (8, 3, 1))]
    maps = IDENTITY + np.concatenate(noise, axis=2)
    maps[TRAINING] -= maps[TRAINING].mean(0) - IDENTITY
    photos = [
        to_uint8(mapped(photo / 255, own).clip(0, 1))
        for photo, own in zip(scene.photos, maps, strict=True)
    ]
    without, with_maps = (
        held_out_psnr_db(scene, fitted(scene, photos=photos, appearance=appearance))
        for appearance in ("none", "affine")
    )
    assert with_maps > without + 3


def test_pose_corrections_sharpen_the_splat_without_moving_the_world(scene: PosedPhotos) -> None:
    extent = 0.6
    centres = scene.cameras.centres[TRAINING]
    corrections = np.zeros((8, 6))
    corrections[TRAINING] = without_common(
        np.random.default_rng(1).normal(0, 0.02, (6, 6)), (centres - centres.mean(0)) / extent
    )
    cameras = jittered(scene.cameras, corrections, extent)
    without, with_moves = (
        held_out_psnr_db(
            scene, fitted(scene, cameras=cameras, pose_learning_rate=rate, iterations=500)
        )
        for rate in (0.0, 5e-3)
    )
    assert with_moves > without + 2


def test_the_first_iteration_is_bitwise_equal_with_per_photo_terms(scene: PosedPhotos) -> None:
    plain, own = (
        fitted(scene, iterations=1, **options).fitted
        for options in ({}, {"appearance": "affine", "pose_learning_rate": 1e-3})
    )
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        assert torch.equal(getattr(plain.gaussians, name), getattr(own.gaussians, name)), name
    np.testing.assert_array_equal(plain.curve.loss, own.curve.loss)


def test_per_photo_terms_are_stored(scene: PosedPhotos, tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    own = fitted(scene, iterations=30, appearance="affine", pose_learning_rate=1e-3)
    plain = fitted(scene, iterations=1)
    kept, kept_plain = (
        store.commit("plane", "splat", arrays_of(one.fitted), attributes_of(one))
        for one in (own, plain)
    )
    np.testing.assert_array_equal(kept.array("photo_colours"), own.fitted.per_photo.colours)
    np.testing.assert_array_equal(kept.array("photo_moves"), own.fitted.per_photo.pose_deltas)
    sizes = kept.attributes["pose_corrections"]
    angles = np.degrees(np.linalg.norm(own.fitted.per_photo.pose_deltas[:, :3], axis=1))
    assert sizes["mean_rotation_deg"] == pytest.approx(angles.mean(), rel=1e-5)
    assert 0 < sizes["mean_shift"] <= sizes["largest_shift"]
    assert kept_plain.attributes["pose_corrections"] is None
