"""Initial Gaussians of a fit, with a fixed background."""

import numpy as np
import pytest
import torch

from tasks.depth.config import DenseConfig
from tasks.splat.config import Absgrad, Default, EveryNth, Mcmc, Points, SplatConfig
from tasks.splat.fit import Splat, fit
from tasks.splat.init.background import COUNT
from tasks.splat.training_photos import PosedPhotos
from tests.support.painted_plane import DISTANCE, photograph

OFTEN = {"start": 20, "every": 20, "stop_share": 0.9}
STILL = SplatConfig(iterations=1, sh_degree=1)


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


def fitted(scene: PosedPhotos, config: SplatConfig) -> Splat:
    return fit(scene, EveryNth(n=4), config)


def test_dense_points_join_the_triangulated_points_on_the_surface(scene: PosedPhotos) -> None:
    sparse = fitted(scene, STILL.model_copy(update={"init": Points(), "background": False}))
    dense = fitted(scene, STILL.model_copy(update={"background": False}))
    assert sparse.fitted.gaussians.num_background == dense.fitted.gaussians.num_background == 0
    assert dense.initial_points > 1.5 * sparse.initial_points
    swept = dense.fitted.gaussians.means[sparse.initial_points :, 2].numpy()
    assert np.median(np.abs(swept)) < 0.01 * DISTANCE  # the plane lies at 0


def test_dense_points_leave_room_to_grow(scene: PosedPhotos) -> None:
    free = fitted(scene, STILL)
    sparse = fitted(scene, STILL.model_copy(update={"init": Points()}))
    room = 100
    most = COUNT + sparse.initial_points + room
    held = fitted(scene, STILL.model_copy(update={"max_gaussians": most}))
    assert free.initial_points > sparse.initial_points + room
    swept = held.initial_points - sparse.initial_points
    assert 0 < swept <= room // 2
    none = fitted(scene, STILL.model_copy(update={"init": DenseConfig(max_points=0)}))
    assert none.initial_points == sparse.initial_points


@pytest.mark.parametrize(
    "densify",
    [Default(gradient=1e-5, **OFTEN), Absgrad(gradient=1e-5, **OFTEN), Mcmc(**OFTEN)],
    ids=lambda densify: densify.kind,
)
def test_the_background_is_fixed_while_other_gaussians_move_and_grow(
    scene: PosedPhotos, densify: Default | Absgrad | Mcmc
) -> None:
    first = fitted(scene, STILL)
    last = fitted(scene, STILL.model_copy(update={"iterations": 200, "densify": densify}))
    assert first.fitted.gaussians.num_background == last.fitted.gaussians.num_background == COUNT
    assert len(last.fitted.gaussians) > COUNT + first.initial_points
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        before, after = (getattr(one.fitted.gaussians, name) for one in (first, last))
        assert torch.equal(before[:COUNT], after[:COUNT]), name
        assert not torch.equal(before[COUNT : COUNT + 20], after[COUNT : COUNT + 20]), name
