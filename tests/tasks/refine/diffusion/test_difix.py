"""A stand-in for Difix: a folder with weights and a pipeline of its own, loaded by diffusers."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.errors import InputError
from tasks.refine.config import Difix
from tasks.refine.diffusion.config import TilesConfig
from tasks.refine.diffusion.difix import difix_refiner
from tasks.runtime.context import Context
from tasks.runtime.trust import Trust
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, noise

PIPELINE = '''
from types import SimpleNamespace

from diffusers import DiffusionPipeline


class MixingPipeline(DiffusionPipeline):
    """Half of the image and a quarter of the reference, where it is called as Difix is."""

    vae_scale_factor = 8

    def __init__(self, scheduler):
        super().__init__()
        self.register_modules(scheduler=scheduler)

    def __call__(
        self, prompt, image, ref_image=None, num_inference_steps=50, timesteps=None,
        guidance_scale=7.5, output_type="pil",
    ):
        assert prompt == "remove degradation"
        assert (num_inference_steps, timesteps, guidance_scale) == (1, [199], 0.0)
        assert output_type == "pt" and image.shape[-1] % 8 == image.shape[-2] % 8 == 0
        mixed = 0.5 * image
        return SimpleNamespace(images=mixed if ref_image is None else mixed + 0.25 * ref_image)
'''


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    folder = tmp_path / "difix"
    DDIMScheduler().save_pretrained(folder / "scheduler")
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "model_index.json").write_text(
        '{"_class_name": "MixingPipeline", "scheduler": ["diffusers", "DDIMScheduler"]}'
    )
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: nvidia\n---\n")
    return folder


def config_of(model: Path, **changes: object) -> Difix:
    options = {"model": str(model), "pipeline": str(model)}
    return Difix.model_validate(options | changes)


def trusting(*code: Path, **more: object) -> Context:
    return Context(trust=Trust(code=frozenset(map(str, code))), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("reference", [False, True])
def test_difix_is_called_as_by_its_authors_and_blended_by_confidence(
    model: Path, reference: bool
) -> None:
    confidence = noise(2, HEIGHT, WIDTH, seed=1)
    render, nearest = (noise(2, HEIGHT, WIDTH, 3, seed=seed) for seed in (2, 3))
    views = a_batch(count=2, confidence=confidence, render=render, nearest=nearest)
    tiles = TilesConfig.model_construct(longest=32, overlap=8)

    found = difix_refiner(
        config_of(model, reference=reference, tiles=tiles), context=trusting(model)
    )(views)

    drawn = 0.5 * render + (0.25 * nearest if reference else 0)
    share = confidence[..., None]
    np.testing.assert_allclose(found.image, share * render + (1 - share) * drawn, atol=1e-5)
    np.testing.assert_allclose(found.weight, 1 - confidence)


def test_difix_code_is_not_run_unless_the_owner_of_the_machine_trusts_it(model: Path) -> None:
    (model / "pipeline.py").write_text("raise SystemExit('was run')")
    with pytest.raises(InputError, match=rf"does not trust it.*UNSEEN_TRUSTED_CODE='{model}'"):
        difix_refiner(config_of(model))
    as_weights = Context(trust=Trust(models=frozenset({str(model)})))
    with pytest.raises(InputError, match="does not trust it"):
        difix_refiner(config_of(model), context=as_weights)
    with pytest.raises(SystemExit, match="was run"):
        difix_refiner(config_of(model), context=trusting(model))


def test_a_trusted_pipeline_does_not_run_the_code_of_an_untrusted_model(
    model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pipeline.py").write_text(PIPELINE)
    with pytest.raises(InputError, match=f"'{model}' comes with Python code"):
        difix_refiner(config_of(model, pipeline=str(other)), context=trusting(other))


def test_a_config_cannot_consent_to_code(model: Path) -> None:
    with pytest.raises(ValidationError, match="trust_remote_code"):
        config_of(model, trust_remote_code=True)


def test_the_difix_licence_is_reported_before_its_code_is_run(model: Path) -> None:
    (model / "pipeline.py").write_text("raise OSError('was run')")
    said: list[str] = []
    context = trusting(model, progress=lambda share, doing: said.append(doing))
    with pytest.raises(InputError, match="was run"):
        difix_refiner(config_of(model), context=context)
    assert "nvidia" in said[0]


def test_missing_difix_weights_are_refused_with_the_download_command() -> None:
    commit = "0" * 40
    trust = Trust(code=frozenset({f"nvidia/difix_ref@{commit}"}))
    with pytest.raises(InputError, match=f"hf download nvidia/difix_ref --revision {commit}"):
        difix_refiner(Difix(revision=commit), context=Context(trust=trust))


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "0" * 39, "0" * 41, "G" * 40, "A" * 40])
def test_a_model_of_the_hub_is_named_with_its_commit(revision: str | None) -> None:
    with pytest.raises(ValidationError, match="give the commit, 40 hexadecimal digits"):
        Difix(revision=revision)
    with pytest.raises(ValidationError, match="give the commit, 40 hexadecimal digits"):
        Difix(revision="0" * 40, pipeline="other/pipeline", pipeline_revision=revision)


@pytest.mark.parametrize("name", ["community_pipeline", "./folder", "folder/in/folder", "../x/y"])
def test_a_name_whose_meaning_depends_on_the_working_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="neither a hub id"):
        Difix(revision="0" * 40, pipeline=name)
