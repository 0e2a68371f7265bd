"""Refinement by models of random weights, against the same sums without a pipeline."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.errors import InputError
from tasks.refine.config import ControlNet
from tasks.refine.diffusion.config import StableDiffusion, TilesConfig
from tasks.refine.diffusion.controlnet import controlnet_refiner
from tasks.refine.diffusion.joint.denoiser import denoiser_of
from tasks.refine.diffusion.joint.sample import Denoiser
from tasks.refine.diffusion.stable import stable_diffusion
from tasks.refine.refiner import ViewBatch
from tasks.runtime.context import Context
from tests.support.random_models import WORDS, trusting, write_controlnet, write_stable_diffusion
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, cropped, noise, one_by_one


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_stable_diffusion(folder / "base", licence="creativeml-openrail-m")
    write_controlnet(folder / "first", seed=1)
    write_controlnet(folder / "second", seed=5)
    return folder


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def weights(models: Path, *sees: str, **changes: Any) -> StableDiffusion:
    nets = ("first", "second")[: len(sees)]
    options = {
        "model": str(models / "base"),
        "controlnets": tuple(str(models / net) for net in nets),
        "sees": sees,
        "steps": 1,
        "seed": 3,
    }
    return StableDiffusion.model_validate(options | changes)


def refined(
    config: StableDiffusion,
    views: ViewBatch,
    tiles: TilesConfig = TilesConfig(),
    batch: int = 1,
) -> torch.Tensor:
    refiner = controlnet_refiner(
        ControlNet(weights=config, tiles=tiles, batch=batch), context=trusting(config)
    )
    return refiner(views).image


def test_one_step_denoises_the_noised_render_once(models: Path) -> None:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    views = a_batch(confidence=torch.zeros(1, HEIGHT, WIDTH), render=noise(1, HEIGHT, WIDTH, 3))
    found = refined(weights(models, "photo", strength=0.25), views)

    vae = AutoencoderTiny.from_pretrained(models / "base" / "vae")
    unet = UNet2DConditionModel.from_pretrained(models / "base" / "unet")
    controlnet = ControlNetModel.from_pretrained(models / "first")
    betas = np.linspace(1e-4**0.5, 0.02**0.5, 1000) ** 2
    timestep = 249
    signal = float(np.cumprod(1 - betas)[timestep])
    words = torch.zeros(1, 1, WORDS)
    with torch.no_grad():
        clean = vae.encode(2 * views.render.permute(0, 3, 1, 2) - 1).latents
        generator = torch.Generator().manual_seed(3)
        drawn = torch.randn(clean.shape, generator=generator)
        noisy = signal**0.5 * clean + (1 - signal) ** 0.5 * drawn
        photo = views.swept[:, 0].permute(0, 3, 1, 2)
        down, middle = controlnet(noisy, timestep, words, photo, return_dict=False)
        predicted = unet(
            noisy,
            timestep,
            words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        latents = (noisy - (1 - signal) ** 0.5 * predicted) / signal**0.5
        image = (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    np.testing.assert_allclose(found, image.permute(0, 2, 3, 1), atol=1e-4)
    assert float(found.std()) > 0.01


def test_each_controlnet_gets_the_conditioning_named_in_the_config(models: Path) -> None:
    views = a_batch()
    other = noise(*views.swept.shape, seed=9)
    first, second = views.swept.clone(), views.swept.clone()
    first[:, 0], second[:, 1] = other[:, 0], other[:, 1]

    def changes(config: StableDiffusion, changed: torch.Tensor) -> bool:
        return not torch.equal(
            refined(config, views), refined(config, replace(views, swept=changed))
        )

    one, two = weights(models, "photo"), weights(models, "photo", "photo")
    assert changes(one, first)
    assert not changes(one, second)
    assert changes(two, first)
    assert changes(two, second)
    assert not changes(weights(models, "render", "depth"), first)


def test_a_model_with_a_text_encoder_depends_on_the_prompt(models: Path, tmp_path: Path) -> None:
    base = write_stable_diffusion(tmp_path / "base", reads=True)

    def told(prompt: str, guidance: float = 1.0) -> torch.Tensor:
        config = weights(models, "photo", model=base, prompt=prompt, guidance=guidance)
        return refined(config, a_batch())

    sharp = told("sharp")
    assert not torch.equal(sharp, told("blurred"))
    assert not torch.equal(sharp, told("sharp", guidance=7.0))
    np.testing.assert_allclose(told("", guidance=7.0), told(""), atol=1e-4)  # nothing to go to


def test_confident_render_pixels_are_kept(models: Path) -> None:
    confidence = torch.ones(1, HEIGHT, WIDTH)
    confidence[..., 30:] = 0
    views = a_batch(confidence=confidence)

    found = refined(weights(models, "photo"), views)

    np.testing.assert_array_equal(found[..., :30, :], views.render[..., :30, :])
    assert not torch.equal(found[..., 30:, :], views.render[..., 30:, :])
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("strength", [0.1, 0.3, 1.0])
def test_the_number_of_steps_follows_the_config(
    models: Path, monkeypatch: pytest.MonkeyPatch, steps: int, strength: float
) -> None:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    seen: list[int] = []
    forward = UNet2DConditionModel.forward

    def counted(self: Any, sample: Any, timestep: Any, *args: Any, **named: Any) -> Any:
        seen.append(int(timestep))
        return forward(self, sample, timestep, *args, **named)

    monkeypatch.setattr(UNet2DConditionModel, "forward", counted)
    refined(weights(models, "photo", steps=steps, strength=strength), a_batch())
    assert len(seen) == steps
    assert seen == sorted(seen, reverse=True)
    assert seen[0] / 1000 == pytest.approx(strength, abs=0.04)


def test_odd_sizes_and_batches_of_tiles_are_refined(models: Path) -> None:
    odd = cropped(a_batch(count=2), 37, 51)
    tiles = TilesConfig(longest=64, overlap=8)
    small = TilesConfig.model_construct(longest=24, overlap=8)
    assert refined(weights(models, "photo"), odd, tiles).shape == (2, 37, 51, 3)
    one = refined(weights(models, "photo"), odd, small, batch=1)
    many = refined(weights(models, "photo"), odd, small, batch=5)
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_the_licence_of_each_model_is_reported_first(models: Path) -> None:
    said: list[str] = []
    config = weights(models, "photo")
    shown = Context(progress=lambda share, doing: said.append(doing))
    controlnet_refiner(ControlNet(weights=config), context=trusting(config, context=shown))
    assert "creativeml-openrail-m" in said[0]
    assert "no licence named" in said[1]


def with_other(models: Path, part: str, name: str, revision: str | None) -> StableDiffusion:
    """A config whose model, or ControlNet, is another."""
    if part == "model":
        return weights(models, "photo", model=name, revision=revision)
    return weights(models, "photo", controlnets=(name,), controlnet_revisions=(revision,))


@pytest.mark.parametrize("part", ["model", "controlnets"])
def test_an_unavailable_model_is_refused_with_a_remedy(models: Path, part: str) -> None:
    of_the_hub = with_other(models, part, "somebody/no-such-model", "0" * 40)
    said = f"hf download somebody/no-such-model --revision {'0' * 40}"
    with pytest.raises(InputError, match=said):
        stable_diffusion(of_the_hub, context=trusting(of_the_hub))
    folder = with_other(models, part, "/no/such/folder", None)
    with pytest.raises(InputError, match=r"'/no/such/folder' is no folder.*name another folder"):
        stable_diffusion(folder, context=trusting(folder))


@pytest.mark.parametrize("part", ["model", "controlnets"])
def test_a_model_that_the_owner_of_the_machine_does_not_list_is_not_loaded(
    models: Path, tmp_path: Path, part: str
) -> None:
    config = with_other(models, part, str(tmp_path), None)
    listed = trusting(weights(models, "photo"))
    with pytest.raises(InputError, match=f"'{tmp_path}' is a model of others.*UNSEEN_MODELS="):
        stable_diffusion(config, context=listed)


@pytest.mark.parametrize("part", ["model", "controlnets"])
@pytest.mark.parametrize("revision", [None, "main"])
def test_a_model_of_the_hub_without_a_commit_is_refused(
    models: Path, part: str, revision: str | None
) -> None:
    with pytest.raises(ValidationError, match="give the commit"):
        with_other(models, part, "owner/name", revision)


def test_weights_are_never_unpickled(models: Path, tmp_path: Path) -> None:
    base = write_stable_diffusion(tmp_path / "base")
    unet = Path(base) / "unet"
    target = tmp_path / "made by the bomb"
    torch.save({"x": Bomb(target)}, unet / "diffusion_pytorch_model.bin")
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    config = weights(models, "photo", model=base)
    with pytest.raises(InputError, match=f"'{base}' is no folder that can be read"):
        stable_diffusion(config, context=trusting(config))
    assert not target.exists()


def test_code_in_the_folder_of_a_model_is_not_run(models: Path, tmp_path: Path) -> None:
    base = write_stable_diffusion(tmp_path / "base")
    index = Path(base) / "model_index.json"
    parts = json.loads(index.read_text())
    index.write_text(json.dumps(parts | {"vae": ["my_vae", "Vae"]}))
    (Path(base) / "vae" / "my_vae.py").write_text("raise SystemExit('was run')")
    config = weights(models, "photo", model=base)
    with pytest.raises(InputError, match="custom code"):
        stable_diffusion(config, context=trusting(config))


def test_a_controlnet_without_image_input_is_refused(models: Path, tmp_path: Path) -> None:
    odd = write_controlnet(tmp_path / "odd", channels=5)
    config = weights(models, "photo", controlnets=(odd,))
    with pytest.raises(InputError, match="takes 5 channels"):
        stable_diffusion(config, context=trusting(config))


def test_each_controlnet_needs_a_conditioning_image(models: Path) -> None:
    with pytest.raises(ValidationError, match="name render, photo or depth for each"):
        weights(models, "photo", sees=("photo", "depth"))


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_denoiser_predicts_the_clean_latents_of_the_scheduler(
    tmp_path: Path, prediction: str
) -> None:
    base = write_stable_diffusion(tmp_path / "base", prediction=prediction)
    nets = tuple(write_controlnet(tmp_path / str(seed), seed=seed) for seed in (1, 5))
    config = StableDiffusion(model=base, controlnets=nets, sees=("photo", "depth"))
    model, views = stable_diffusion(config, context=trusting(config)), a_batch(count=2)
    denoise = denoiser_of(model, one_by_one(views))
    assert isinstance(denoise, Denoiser)
    latents = denoise.encode(list(views.render))
    noisy = torch.randn(2, *latents[0].shape, generator=torch.Generator().manual_seed(0))

    found = denoise(list(noisy), 499)

    pipeline = model.pipeline
    words = torch.zeros(2, 1, WORDS)
    _, shown = model.show(views)
    seen = [one.half().float() for one in shown]
    with torch.no_grad():
        down, middle = pipeline.controlnet(noisy, 499, words, seen, [1.0, 1.0], return_dict=False)
        predicted = pipeline.unet(
            noisy,
            499,
            words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
    pipeline.scheduler.set_timesteps(2)
    wanted = pipeline.scheduler.step(predicted, 499, noisy).pred_original_sample
    np.testing.assert_allclose(torch.stack(found), wanted, atol=1e-4)


def test_views_of_any_size_are_denoised(models: Path) -> None:
    config = weights(models, "photo")
    model = stable_diffusion(config, context=trusting(config))
    views = [a_batch(), cropped(a_batch(), 37, 51)]
    denoise = denoiser_of(model, views)
    shown = [one.render[0] for one in views]
    latents = denoise(denoise.encode(shown), 500)
    images = denoise.decode(latents)
    assert [image.shape for image in images] == [image.shape for image in shown]
    assert min(float(image.min()) for image in images) >= 0
