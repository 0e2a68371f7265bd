"""Sparse iterations update only visible Gaussians."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.splat.config import EveryNth, SplatConfig
from tasks.splat.fit import fit
from tasks.splat.train.settings import TrainSettings
from tasks.splat.train.targets import Batch, photo_views
from tasks.splat.train.trainer import Fitted, train
from tasks.splat.training_photos import SizedPhotos
from tests.support.painted_plane import held_out_psnr_db, photograph


def back_to_back() -> Cameras:
    """One camera looks along z, the other against it."""
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3, :3] = Rotation.from_euler("y", np.pi).as_matrix()
    return Cameras(
        names=("ahead.png", "behind.png"),
        camera_from_world=poses,
        intrinsics=np.tile(np.array([[30.0, 0, 16], [0, 30, 12], [0, 0, 1]]), (2, 1, 1)),
        sizes=np.tile(np.array([[32, 24]], dtype=np.int64), (2, 1)),
    )


def one_on_each_side() -> Gaussians:
    return Gaussians(
        means=torch.tensor([[0.1, 0.0, 3.0], [0.1, 0.0, -3.0]]),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 2),
        log_scales=torch.full((2, 3), -1.0),
        logit_opacities=torch.zeros(2),
        sh=torch.ones(2, 1, 3),
    )


def taken(iterations: int, *, sparse: bool) -> Fitted:
    """An iteration on what is ahead, all others on what is behind."""
    cameras = back_to_back()
    photos = [np.full((24, 32, 3), level, dtype=np.uint8) for level in (40, 200)]
    ahead, behind = photo_views(SizedPhotos(cameras=cameras, photos=photos, weights=[None, None]))

    def steps() -> Iterator[Batch]:
        yield Batch(views=(ahead,), sh_degree=0)
        while True:
            yield Batch(views=(behind,), sh_degree=0)

    settings = TrainSettings(
        iterations=iterations,
        extent=1.0,
        densify=None,
        most_gaussians=2,
        ssim_weight=0.2,
        opacity_weight=0.0,
        scale_weight=0.0,
        centres=cameras.centres,
        sparse=sparse,
        seed=0,
    )
    return train(one_on_each_side(), steps(), settings)


def test_a_gaussian_not_visible_in_an_iteration_is_not_updated() -> None:
    first, later = (taken(iterations, sparse=True).gaussians for iterations in (1, 5))
    initial = one_on_each_side()
    for name in ("log_scales", "logit_opacities", "sh"):
        start, one, five = (getattr(splat, name) for splat in (initial, first, later))
        assert not torch.equal(start[0], one[0])
        assert torch.equal(start[1], one[1])
        assert torch.equal(one[0], five[0])
        assert not torch.equal(one[1], five[1])


def test_dense_adam_moments_keep_moving_an_invisible_gaussian() -> None:
    first, later = (taken(iterations, sparse=False).gaussians for iterations in (1, 5))
    assert not torch.equal(first.logit_opacities[0], later.logit_opacities[0])


def test_the_first_sparse_step_equals_the_dense_step() -> None:
    whole, sparse = (taken(1, sparse=sparse).gaussians for sparse in (False, True))
    for name in ("means", "log_scales", "quats", "logit_opacities", "sh"):
        torch.testing.assert_close(getattr(whole, name), getattr(sparse, name))


def test_sparse_training_predicts_held_out_photos() -> None:
    scene = photograph()
    scores = []
    for sparse in (False, True):
        config = SplatConfig(iterations=150, sh_every=50, sh_degree=1, sparse=sparse)
        splat = fit(scene, EveryNth(n=4), config)
        scores.append(held_out_psnr_db(scene, splat))
    assert scores[1] > scores[0] - 1
