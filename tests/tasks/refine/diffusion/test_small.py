"""The small diffusion model: its file, and its output before training."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import save
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from tasks.errors import InputError
from tasks.refine.config import ControlNet, FeaturesConfig, RefineConfig
from tasks.refine.diffusion.config import SmallModel, TilesConfig
from tasks.refine.diffusion.joint.denoiser import denoiser_of
from tasks.refine.diffusion.small import (
    Small,
    conditioning_channels,
    conditioning_of,
    new_small,
    read_small,
    small_checkpoint,
    small_model,
)
from tasks.refine.diffusion.training_config import SmallShape
from tasks.refine.photos.features import features_of
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import Refinement, ViewBatch
from tasks.refine.select import refiner_for
from tasks.refine.weights import find_weights
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, cropped, noise

SHAPE = SmallShape(widths=(8, 16), features=FeaturesConfig(photos=2))
SIGNALS = np.cumprod(1 - np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2)
"""Of Stable Diffusion's schedule."""


def disturbed(small: Small) -> Small:
    """Random where untrained weights are zero."""
    torch.manual_seed(7)
    for module in (small.unet, small.controlnet):
        for value in module.parameters():
            torch.nn.init.normal_(value, std=0.05)
    return small


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "small.safetensors"
    found.write_bytes(small_checkpoint(disturbed(new_small(SHAPE, seed=1)), data="none"))
    return found


def refined(file: Path, views: ViewBatch, *, steps: int = 1, **options: Any) -> Refinement:
    folder = file.parent
    weights = SmallModel(file=file.name, steps=steps)
    config = RefineConfig(refiner=ControlNet(weights=weights, gate=None, **options))
    return refiner_for(config, weights=find_weights(folder, config))(views)


def test_the_model_file_keeps_shape_and_weights_in_half_precision(file: Path) -> None:
    kept, made = read_small(file), disturbed(new_small(SHAPE, seed=1))
    assert kept.shape == SHAPE
    for part in ("unet", "controlnet"):
        other = getattr(made, part).state_dict()
        for name, value in getattr(kept, part).state_dict().items():
            assert value.dtype == torch.float32
            np.testing.assert_allclose(value, other[name], rtol=1e-3, atol=1e-6)


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    one = new_small(SHAPE, seed=1).controlnet.state_dict()
    torch.manual_seed(5)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    other = new_small(SHAPE, seed=1).controlnet.state_dict()
    assert torch.equal(torch.rand(1), drawn)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_untrained_model_returns_its_scaled_start_image(tmp_path: Path) -> None:
    file = tmp_path / "new.safetensors"
    file.write_bytes(small_checkpoint(new_small(SHAPE, seed=1), data="none"))
    views = a_batch(count=2, confidence=torch.zeros(2, HEIGHT, WIDTH))

    found = refined(file, views)

    # The signal after 20 of 1000 of Stable Diffusion's steps, which a velocity of 0 leaves.
    kept = math.sqrt(SIGNALS[19])
    start = reproject(views, SHAPE.features.reproject).image
    np.testing.assert_allclose(found.image, 0.5 + kept * (start - 0.5), atol=1e-5)


def test_the_default_model_fits_in_eight_megabytes() -> None:
    assert len(small_checkpoint(new_small(SmallShape(), seed=0), data="0" * 64)) < 8e6


@torch.no_grad()
def test_several_steps_match_the_scheduler_from_a_noisy_start(file: Path) -> None:
    views = a_batch(confidence=torch.zeros(1, HEIGHT, WIDTH))
    found = refined(file, views, steps=3).image[0]

    small, features = read_small(file), features_of(views, SHAPE.features)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )
    scheduler.set_timesteps(50)
    steps = scheduler.timesteps[-3:]
    assert steps.tolist() == [59, 39, 19]
    start = pixel_unshuffle(2 * features.pictures[:, 1] - 1, 2)
    noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    noisy = scheduler.add_noise(start, noise, steps[:1])
    words = torch.zeros(1, 1, 8)
    for step in steps:
        down, middle = small.controlnet(
            noisy, step, words, conditioning_of(features), return_dict=False
        )
        velocity = small.unet(
            noisy,
            step,
            words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        noisy = scheduler.step(velocity, step, noisy).prev_sample
    wanted = (pixel_shuffle(noisy, 2)[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_noise_of_a_tile_does_not_depend_on_its_batch(file: Path) -> None:
    views = a_batch(count=3)
    assert not torch.equal(refined(file, views, steps=2).image, refined(file, views).image)
    one_by_one, joint = (refined(file, views, steps=2, batch=batch).image for batch in (1, 3))
    np.testing.assert_allclose(one_by_one, joint, atol=1e-4)


def test_every_feature_affects_the_model_output(file: Path) -> None:
    views = a_batch()
    features = features_of(views, SHAPE.features)
    assert conditioning_of(features).shape[1] == conditioning_channels(SHAPE)
    model = small_model(file)
    start, seen = model.show(views)
    drawn = model.draw(start, seen, [0])
    for channel in range(conditioning_channels(SHAPE)):
        other = seen[0].clone()
        other[:, channel] += noise(HEIGHT, WIDTH)
        assert not torch.equal(model.draw(start, [other], [0]), drawn)


def test_tiled_refinement_hardly_differs_from_the_whole_view(file: Path) -> None:
    views = a_batch()
    whole = refined(file, views).image
    tiles = TilesConfig.model_construct(longest=48, overlap=16)
    parts = refined(file, views, tiles=tiles, batch=2).image
    assert float((parts - whole).abs().mean()) < 0.2 * float((whole - views.render).abs().mean())


def test_a_refiner_without_weights_is_refused() -> None:
    with pytest.raises(InputError, match="refines nothing untrained"):
        refiner_for(RefineConfig(refiner=ControlNet()))


def test_the_denoiser_encodes_and_decodes_without_loss(file: Path) -> None:
    views = [a_batch(), cropped(a_batch(), 33, 47)]  # which no network takes
    images = [one.swept[0, 0] for one in views]
    denoise = denoiser_of(small_model(file), views)
    latents = denoise.encode(images)
    assert latents[0].shape == (12, HEIGHT // 2, WIDTH // 2)
    for image, found in zip(images, denoise.decode(latents), strict=True):
        np.testing.assert_allclose(found, image, atol=1e-6)


class KnowsVelocity(torch.nn.Module):
    """A network that knows the clean latents, and answers as it was trained to."""

    dtype = torch.float32

    def __init__(self, clean: torch.Tensor) -> None:
        super().__init__()
        self.clean = clean

    def forward(self, noisy: torch.Tensor, timestep: int, **_: Any) -> tuple[torch.Tensor]:
        # v = sqrt(a) noise - sqrt(1 - a) clean, noisy = sqrt(a) clean + sqrt(1 - a) noise.
        noise = (noisy - SIGNALS[timestep] ** 0.5 * self.clean) / (1 - SIGNALS[timestep]) ** 0.5
        velocity = SIGNALS[timestep] ** 0.5 * noise - (1 - SIGNALS[timestep]) ** 0.5 * self.clean
        return (velocity,)


@pytest.mark.parametrize("timestep", [19, 500, 999])
def test_the_true_velocity_gives_the_clean_latents_at_any_noise_level(
    file: Path, timestep: int
) -> None:
    views = a_batch()
    denoise = denoiser_of(small_model(file), [views])
    (clean,) = denoise.encode([views.nearest[0]])
    known = SimpleNamespace(
        **{name: getattr(denoise.pipeline, name) for name in ("vae", "scheduler", "controlnet")},
        unet=KnowsVelocity(clean),
    )
    drawn = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    noisy = SIGNALS[timestep] ** 0.5 * clean + (1 - SIGNALS[timestep]) ** 0.5 * drawn

    (found,) = replace(denoise, pipeline=known)([noisy], timestep)

    np.testing.assert_allclose(found, clean, atol=1e-4)


def test_each_view_is_denoised_from_its_own_conditioning(file: Path) -> None:
    model = small_model(file)
    views = [a_batch(), cropped(a_batch(swept=noise(1, 3, HEIGHT, WIDTH, 3, seed=4)), 32, 48)]
    denoise = denoiser_of(model, views)
    latents = denoise.encode([one.render[0] for one in views])
    for view, one, found in zip(views, latents, denoise(latents, 500), strict=True):
        (alone,) = denoiser_of(model, [view])([one], 500)
        np.testing.assert_allclose(found, alone, atol=1e-6)


def test_files_that_are_no_small_model_are_refused_by_name(tmp_path: Path, file: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.safetensors' cannot be read"):
        read_small(tmp_path / "absent.safetensors")
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read"):
        read_small(other)
    other.write_bytes(save({"weight": torch.ones(2)}))
    with pytest.raises(InputError, match="format 'None' version None"):
        read_small(other)
    with pytest.raises(InputError, match="changed while the scene ran"):
        read_small(file, digest="0" * 64)


def test_weights_of_another_shape_or_not_finite_are_refused(tmp_path: Path) -> None:
    small = new_small(SHAPE, seed=1)
    wider = replace(small, shape=SHAPE.model_copy(update={"widths": (16, 16)}))
    other = tmp_path / "other.safetensors"
    other.write_bytes(small_checkpoint(wider, data="none"))
    with pytest.raises(InputError, match="not those of the model"):
        read_small(other)
    torch.nn.init.constant_(small.unet.conv_out.bias, torch.nan)
    other.write_bytes(small_checkpoint(small, data="none"))
    with pytest.raises(InputError, match=r"1 tensors .* 'unet\.conv_out\.bias'"):
        read_small(other)


def test_a_small_file_that_describes_a_huge_model_takes_no_memory_for_it(tmp_path: Path) -> None:
    import resource

    huge = SmallShape(widths=(4096, 4096, 4096), layers=4)  # 10 GB
    other = tmp_path / "other.safetensors"
    other.write_bytes(small_checkpoint(replace(new_small(SHAPE, seed=1), shape=huge), data="none"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="not those of the model"):
        read_small(other)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB
