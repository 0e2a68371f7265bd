"""A splat fitted between denoising steps, with a denoiser that returns the painted plane."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.sample import Denoiser, Scene, sample_jointly
from tasks.refine.diffusion.joint.schedule import NoiseLevel
from tasks.refine.diffusion.joint.splat_scene import SplatScene, splat_scene
from tasks.runtime.context import Context
from tasks.splat.config import Default, SplatConfig, TrainOn
from tasks.splat.fit import fit
from tasks.splat.training_photos import SizedPhotos, sized_photos
from tests.support.painted_plane import DISTANCE, FOCAL, HEIGHT, WIDTH, paint, photograph

SPLAT = SplatConfig(
    iterations=150, sh_every=100, densify=Default(start=50, every=50), sh_degree=1, seed=3
)
CONFIG = JointConfig(steps=4, fit_iterations=30)
PLACES = (-0.2, 0.0, 0.2)
LEVELS = tuple(
    NoiseLevel(timestep=index, signal=signal, next_signal=after)
    for index, (signal, after) in enumerate([(0.1, 0.4), (0.4, 0.7), (0.7, 0.9), (0.9, 1.0)])
)
Views: TypeAlias = Sequence[torch.Tensor]


class Knowing:
    """A denoiser that is sure of some images, whatever it is shown."""

    def __init__(self, images: Views) -> None:
        self.images = images

    def __call__(self, noisy: Views, timestep: int) -> Views:
        return self.images

    def encode(self, images: Views) -> Views:
        return images

    def decode(self, latents: Views) -> Views:
        return latents


def cameras_at(places: tuple[float, ...]) -> Cameras:
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, 0, 3], poses[:, 2, 3] = -np.array(places), DISTANCE
    lens = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
    return Cameras(
        names=tuple(str(place) for place in places),
        camera_from_world=poses,
        intrinsics=np.tile(lens, (len(places), 1, 1)),
        sizes=np.tile(np.array([[WIDTH, HEIGHT]], dtype=np.int64), (len(places), 1)),
    )


def truth() -> list[torch.Tensor]:
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    y = (rows - HEIGHT / 2) / FOCAL * DISTANCE
    views = [paint((columns - WIDTH / 2) / FOCAL * DISTANCE + x, y) for x in PLACES]
    return [torch.from_numpy(view.astype(np.float32)) for view in views]


@pytest.fixture(scope="module")
def base() -> tuple[Gaussians, SizedPhotos]:
    seen = photograph()
    split = TrainOn(photos=("0.png", "7.png"))
    found = fit(seen, split, SPLAT).fitted.gaussians
    return found, sized_photos(seen.cameras, seen.photos, (0, 7), WIDTH)


@pytest.fixture
def scene(base: tuple[Gaussians, SizedPhotos]) -> SplatScene:
    return splat_scene(*base, cameras_at(PLACES), SPLAT, CONFIG)


def error(scene: SplatScene, wanted: Views) -> float:
    shown = zip(scene.render(), wanted, strict=True)
    return float(np.mean([(one - other).abs().mean() for one, other in shown]))


def test_splat_scene_and_test_denoiser_satisfy_the_sampling_protocols(scene: SplatScene) -> None:
    assert isinstance(scene, Scene)
    assert isinstance(Knowing(truth()), Denoiser)
    assert [one.shape for one in scene.render()] == 3 * [(HEIGHT, WIDTH, 3)]


def test_joint_sampling_moves_the_scene_towards_the_denoised_views(scene: SplatScene) -> None:
    told: list[float] = []
    found = sample_jointly(
        Knowing(truth()),
        scene,
        LEVELS,
        CONFIG,
        context=Context(progress=lambda share, doing: told.append(share)),
    )
    assert all(torch.equal(one, other) for one, other in zip(found.views, truth(), strict=True))
    assert error(found.scene, truth()) < 0.7 * error(scene, truth())
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_a_low_view_weight_lets_photos_outweigh_wrong_views(scene: SplatScene) -> None:
    black = 3 * [torch.zeros(HEIGHT, WIDTH, 3)]
    strong, weak = scene.fitted(black), replace(scene, view_weight=1e-6).fitted(black)
    assert error(strong, truth()) > error(scene, truth())
    assert error(weak, truth()) < 1.1 * error(scene, truth())


def test_a_fit_is_deterministic_and_leaves_the_original_scene_unchanged(scene: SplatScene) -> None:
    before = torch.stack(scene.render())
    one, other = scene.fitted(truth()), scene.fitted(truth())
    assert torch.equal(torch.stack(scene.render()), before)
    assert torch.equal(torch.stack(one.render()), torch.stack(other.render()))
    assert len(one.gaussians) == len(scene.gaussians)
    assert one.settings.seed != scene.settings.seed


def test_views_of_several_sizes_are_fitted_and_rendered_jointly(
    base: tuple[Gaussians, SizedPhotos],
) -> None:
    places = cameras_at(PLACES)
    sizes = np.array([[WIDTH, HEIGHT], [WIDTH // 2, HEIGHT // 2], [WIDTH, HEIGHT]])
    several = splat_scene(*base, places.resized(sizes), SPLAT, CONFIG)
    small = splat_scene(*base, cameras_at(PLACES[1:2]).resized(sizes[1:2]), SPLAT, CONFIG)
    assert torch.equal(several.render()[1], small.render()[0])
    wanted = truth()
    wanted[1] = avg_pool2d(wanted[1].permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    assert error(several.fitted(wanted), wanted) < 0.9 * error(several, wanted)
