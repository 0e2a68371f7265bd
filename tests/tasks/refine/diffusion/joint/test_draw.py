"""Joint sampling with models of random weights, against diffusers for each view alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.refine.config import ControlNet, FeaturesConfig, GateConfig, RefineConfig
from tasks.refine.diffusion.config import SmallModel, StableDiffusion
from tasks.refine.diffusion.controlnet import model_of
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.sample import Scene
from tasks.refine.diffusion.model import words
from tasks.refine.diffusion.small import new_small, small_checkpoint
from tasks.refine.diffusion.training_config import SmallShape
from tasks.refine.refiner import Refinement, ViewBatch
from tasks.refine.select import joint_refiners
from tasks.refine.weights import find_weights
from tasks.runtime.context import Context
from tasks.source import Source
from tests.support.random_models import trusting, write_controlnet, write_stable_diffusion
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, cropped, noise

STEPS = 4
AT_THE_END = JointConfig(steps=STEPS, fit_every=STEPS, fresh_noise=0.0, seed=3)
"""The scene has no say in what is drawn, and chance none but at first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Still:
    """A scene that shows the same whatever it is fitted to, which it keeps."""

    shows: Sequence[Tensor]
    fitted_to: list[Sequence[Tensor]] = field(default_factory=list)

    def fitted(self, images: Sequence[Tensor]) -> "Still":
        self.fitted_to.append(images)
        return self

    def render(self) -> Sequence[Tensor]:
        return self.shows


@dataclass(frozen=True, kw_only=True)
class Model:
    config: SmallModel | StableDiffusion
    weights: Source | None


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    made = new_small(SmallShape(widths=(8, 16), features=FeaturesConfig(photos=2)), seed=1)
    torch.manual_seed(7)
    for module in (made.unet, made.controlnet):
        for value in module.parameters():
            torch.nn.init.normal_(value, std=0.05)
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.safetensors").write_bytes(small_checkpoint(made, data="none"))
    config = SmallModel(file="small.safetensors")
    return Model(
        config=config,
        weights=find_weights(folder, RefineConfig(refiner=ControlNet(weights=config))),
    )


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("stable")
    nets = tuple(write_controlnet(folder / str(seed), seed=seed) for seed in (1, 5))
    config = StableDiffusion(
        model=write_stable_diffusion(folder / "base", reads=True),
        controlnets=nets,
        sees=("photo", "depth"),
        prompt="sharp",
        guidance=3.0,
    )
    return Model(config=config, weights=None)


def views() -> list[ViewBatch]:
    """Of two sizes, one of which no network takes, and nothing of the render is believed."""
    unsure = {"confidence": torch.zeros(1, HEIGHT, WIDTH)}
    return [
        a_batch(**unsure),
        cropped(a_batch(render=noise(1, HEIGHT, WIDTH, 3), **unsure), 35, 54),
    ]


def drawn(
    model: Model,
    joint: JointConfig = AT_THE_END,
    *,
    seen: Sequence[ViewBatch] | None = None,
    scene: Scene | None = None,
    gate: GateConfig | None = None,
    context: Context = Context(),
) -> list[Refinement]:
    seen = views() if seen is None else seen
    controlnet = ControlNet(weights=model.config, gate=gate, joint=joint)
    refiners = joint_refiners(
        RefineConfig(refiner=controlnet),
        seen,
        lambda asked: scene or Still(shows=[one.render[0] for one in seen]),
        weights=model.weights,
        context=trusting(model.config, context=context),
    )
    return [refine(one) for refine, one in zip(refiners, seen, strict=True)]


@pytest.mark.parametrize("kind", ["small", "stable"])
def test_without_scene_fits_each_view_matches_the_diffusers_pipeline(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(kind)
    found = drawn(model)

    loaded = model_of(model.config, weights=model.weights, context=trusting(model.config))
    generator = torch.Generator().manual_seed(AT_THE_END.seed)
    guidance = model.config.guidance if isinstance(model.config, StableDiffusion) else 1.0
    for one, view in zip(found, views(), strict=True):
        height, width = view.depth.shape[1:]
        beyond = (0, -width % 8, 0, -height % 8)
        _, shown = loaded.show(view)
        seen = [torch.nn.functional.pad(s, beyond, mode="replicate").half().float() for s in shown]
        channels, scale = loaded.pipeline.unet.config.in_channels, loaded.pipeline.vae_scale_factor
        size = [
            (length + more) // scale for length, more in ((height, beyond[3]), (width, beyond[1]))
        ]
        wanted = loaded.pipeline(
            prompt_embeds=words(loaded.pipeline, "sharp", 1),
            negative_prompt_embeds=words(loaded.pipeline, "", 1),
            image=seen[0][:, :3],
            control_image=seen if len(seen) > 1 else seen[0],
            latents=torch.randn(channels, *size, generator=generator)[None],
            strength=1.0,
            num_inference_steps=STEPS,
            guidance_scale=guidance,
            controlnet_conditioning_scale=1.0,
            output_type="pt",
        ).images[0]
        image = wanted.permute(1, 2, 0)[:height, :width]
        assert float(image.std()) > 0.01
        np.testing.assert_allclose(one.image[0], image, atol=1e-3)


def test_the_returned_views_are_those_of_the_last_scene_fit(small: Model) -> None:
    scene = Still(shows=[one.render[0] for one in views()])
    found = drawn(small, JointConfig(steps=STEPS), scene=scene)
    assert len(scene.fitted_to) == STEPS
    for one, image in zip(found, scene.fitted_to[-1], strict=True):
        np.testing.assert_allclose(one.image[0], image, atol=1e-6)


def test_scene_renders_replace_the_denoised_views(small: Model) -> None:
    dark, bright = (
        drawn(
            small,
            JointConfig(steps=STEPS, fresh_noise=0.0),
            scene=Still(shows=[torch.full_like(one.render[0], value) for one in views()]),
        )
        for value in (0.1, 0.9)
    )
    for one, other in zip(dark, bright, strict=True):
        assert float((other.image - one.image).mean()) > 0.1


def test_confident_render_pixels_are_kept_with_zero_weight(small: Model) -> None:
    confidence = torch.zeros(1, HEIGHT, WIDTH)
    confidence[..., 30:] = 1
    view = a_batch(confidence=confidence)
    (found,) = drawn(small, seen=[view])
    np.testing.assert_array_equal(found.image[..., 30:, :], view.render[..., 30:, :])
    assert not torch.equal(found.image[..., :30, :], view.render[..., :30, :])
    np.testing.assert_array_equal(found.weight, 1 - confidence)
    assert found.rejected is None


def test_views_contradicted_by_photos_are_rejected(small: Model) -> None:
    seen = views()
    # What a model that has learnt nothing makes of noise.
    for one, view in zip(drawn(small, seen=seen, gate=GateConfig()), seen, strict=True):
        assert one.rejected is not None
        assert one.rejected.tolist() == [True]
        assert torch.equal(one.image, view.render)
        assert not one.weight.any()


def test_progress_and_licences_are_reported(small: Model, stable: Model) -> None:
    said: list[tuple[float, str]] = []
    drawn(small, context=Context(progress=lambda share, doing: said.append((share, doing))))
    assert [share for share, _ in said] == [0.25, 0.5, 0.75, 1.0]
    said.clear()
    drawn(stable, context=Context(progress=lambda share, doing: said.append((share, doing))))
    assert ["licence" in doing for _, doing in said] == [True] * 3 + [False] * STEPS


def test_joint_sampling_without_weights_is_refused(small: Model) -> None:
    with pytest.raises(InputError, match="refines nothing untrained"):
        drawn(replace(small, weights=None))
