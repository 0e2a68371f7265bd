"""A splat that shows nothing is refused."""

import numpy as np
import pytest
import torch

from tasks.cameras import Cameras
from tasks.errors import DivergedError
from tasks.gaussians import Gaussians
from tasks.splat.visible import check_visible
from tests.support.textured_planes import SOURCES


def wall(*, distance: float = 3.0, logit: float = 2.0, count: int = 400) -> Gaussians:
    """A square wall that faces the cameras, behind one distant background Gaussian."""
    side = np.linspace(-2, 2, 20)
    places = np.stack([*np.meshgrid(side, side), np.full((20, 20), distance)], -1).reshape(-1, 3)
    shell = np.array([[0.0, 0.0, 500.0]])
    means = torch.tensor(np.concatenate([shell, places[:count]]), dtype=torch.float32)
    return Gaussians(
        means=means,
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1),
        log_scales=torch.full((len(means), 3), np.log(0.15)),
        logit_opacities=torch.full((len(means),), logit),
        sh=torch.zeros(len(means), 1, 3),
        num_background=1,
    )


def test_a_wall_before_the_cameras_is_taken() -> None:
    check_visible(wall(), SOURCES)


@pytest.mark.parametrize(
    ("splat", "sentence"),
    [
        (wall(count=0), "0 Gaussians are left"),
        (wall(logit=-8.0), "all 400 Gaussians of the splat are transparent"),
        (wall(distance=-3.0), "cover at most 0.00% of the 3 photos"),
    ],
    ids=["empty", "transparent", "behind the cameras"],
)
def test_a_splat_that_shows_nothing_is_refused(splat: Gaussians, sentence: str) -> None:
    with pytest.raises(DivergedError, match=sentence):
        check_visible(splat, SOURCES)


def test_one_photo_of_many_that_sees_the_splat_is_enough() -> None:
    away = SOURCES.camera_from_world[[0]].copy()
    away[0, :3, :3] = np.diag([-1.0, 1.0, -1.0])
    cameras = Cameras(
        names=("a", "b"),
        camera_from_world=np.concatenate([away, SOURCES.camera_from_world[[1]]]),
        intrinsics=SOURCES.intrinsics[:2],
        sizes=SOURCES.sizes[:2],
    )
    check_visible(wall(), cameras)
