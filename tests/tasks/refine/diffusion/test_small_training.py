"""Training of the small diffusion model, and refinement with the result."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from storage.checkpoints import Checkpoint
from storage.store import Store
from tasks.refine.config import ControlNet, FeaturesConfig, RefineConfig
from tasks.refine.diffusion.config import SmallModel
from tasks.refine.diffusion.joint.denoiser import denoiser_of
from tasks.refine.diffusion.joint.schedule import noise_levels
from tasks.refine.diffusion.small import new_small, small_checkpoint, small_model
from tasks.refine.diffusion.train import SmallNetwork, denoising_loss, small_recipe
from tasks.refine.diffusion.training_config import SmallShape, TrainControlNet
from tasks.refine.select import refiner_for
from tasks.refine.training.config import Steps
from tasks.refine.training.crops import Batch, read_round
from tasks.refine.training.loop import Trained, train_network
from tasks.refine.weights import find_weights
from tasks.runtime.checkpoints import StoredCheckpoints
from tasks.runtime.context import Context
from tests.support.cut_off import cut_off
from tests.support.handmade_pairs import HandmadePairs, a_pair, pairs_of

CONFIG = TrainControlNet(
    shape=SmallShape(widths=(16, 16), features=FeaturesConfig(photos=2)),
    length=Steps(count=80),
    batch=4,
    crop=16,
    crops=10,
    learning_rate=1e-2,
    averaging=0.9,
    validations=1,
)
PAIR = a_pair()


def psnr_db(image: Tensor) -> float:
    return -10 * math.log10(np.mean((image.numpy() - PAIR.target.numpy()) ** 2))


def gain_db(image: Tensor) -> float:
    return psnr_db(image) - psnr_db(PAIR.views.render[0])


@pytest.fixture(scope="module")
def trained() -> Trained[SmallNetwork]:
    pairs = HandmadePairs(pairs=[PAIR], scenes=["room"])
    return train_network(small_recipe(CONFIG), pairs, pairs)


@pytest.fixture(scope="module")
def folder(trained: Trained[SmallNetwork], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("trained")
    (found / "small.safetensors").write_bytes(small_checkpoint(trained.network.small, data=""))
    return found


def test_training_fits_one_pair_and_the_saved_model_scores_the_same(
    trained: Trained[SmallNetwork], folder: Path
) -> None:
    scored, _ = trained.scores
    assert scored.gain_db > 1
    assert trained.curve[-1].loss < trained.curve[0].loss
    np.testing.assert_allclose(gain_db(refined(folder)), scored.gain_db, atol=0.05)


def refined(folder: Path) -> Tensor:
    weights = SmallModel(file="small.safetensors")
    config = RefineConfig(refiner=ControlNet(weights=weights, gate=None))
    return refiner_for(config, weights=find_weights(folder, config))(PAIR.views).image[0]


def test_training_reduces_the_denoising_loss_over_all_noise_levels(
    trained: Trained[SmallNetwork],
) -> None:
    """Little in a few steps of a tiny network, but of every level."""
    config = CONFIG.model_copy(update={"repair_share": 0.0})
    untrained = SmallNetwork(new_small(CONFIG.shape, seed=CONFIG.seed))
    batch = a_crop_batch(pairs=HandmadePairs(pairs=[PAIR], scenes=["room"]))

    def loss(network: SmallNetwork) -> float:
        with torch.no_grad():
            return np.mean(
                [float(denoising_loss(network, batch, step, config)) for step in range(8)]
            )

    assert loss(trained.network) < 0.95 * loss(untrained)


def test_a_view_sampled_from_noise_is_better_after_training(folder: Path) -> None:
    """As views are drawn together, but for the scene between them."""

    def drawn(file: Path) -> Tensor:
        model = small_model(file)
        denoise = denoiser_of(model, [PAIR.views])
        noisy = torch.randn(12, 20, 28, generator=torch.Generator().manual_seed(0))
        for level in noise_levels(model.pipeline.scheduler, 10):
            (clean,) = denoise([noisy], level.timestep)
            noisy = level.stepped(noisy, clean, noisy, 0.0)
        return denoise.decode([noisy])[0]

    untrained = folder / "untrained.safetensors"
    untrained.write_bytes(small_checkpoint(new_small(CONFIG.shape, seed=CONFIG.seed), data=""))
    assert gain_db(drawn(folder / "small.safetensors")) > gain_db(drawn(untrained)) + 0.1


class Oracle(SmallNetwork):
    """Knows the photos; keeps what it was asked."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(new_small(CONFIG.shape, seed=0))
        self.clean = pixel_unshuffle(2 * batch.truth.target - 1, 2)
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, noisy: Tensor, seen: Tensor, timesteps: Tensor) -> Tensor:
        self.asked.append((noisy, timesteps))
        return self.clean


def a_crop_batch(pairs: HandmadePairs | None = None) -> Batch:
    return read_round(pairs or pairs_of(4), CONFIG, 0)[0]


def test_training_crops_start_from_the_refined_render_or_from_any_noise_level() -> None:
    batch = a_crop_batch()
    oracle = Oracle(batch)
    for step in range(100):
        denoising_loss(oracle, batch, step, CONFIG)

    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
    signals = np.cumprod(1 - betas)
    start = pixel_unshuffle(2 * batch.features.pictures[:, 1] - 1, 2)
    repairs, drawn = 0, []
    for noisy, timesteps in oracle.asked:
        for crop, timestep in enumerate(timesteps.tolist()):
            if torch.equal(noisy[crop], start[crop]):
                assert timestep == 19  # the last of 50 steps of 1000
                repairs += 1
                continue
            signal = signals[timestep]
            noise = (noisy[crop] - math.sqrt(signal) * oracle.clean[crop]) / math.sqrt(1 - signal)
            assert abs(float(noise.mean())) < 0.1
            assert float(noise.std()) == pytest.approx(1, abs=0.1)
            drawn.append(timestep)
    assert 0.4 < repairs / (4 * 100) < 0.6
    assert np.histogram(drawn, 4, (0, 1000))[0].min() > len(drawn) / 8


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_only_refinement_crops_are_blended_with_the_render(share: float) -> None:
    config = CONFIG.model_copy(update={"repair_share": share})
    batch = a_crop_batch()
    loss = float(denoising_loss(Oracle(batch), batch, 0, config))
    assert (loss < 1e-4) == (share == 0)


def test_every_noise_level_has_equal_loss_before_training() -> None:
    """A velocity of 0 leaves all errors that were there, and they count as 1."""
    config = CONFIG.model_copy(update={"repair_share": 0.0, "detail_weight": 0.0})
    network = SmallNetwork(new_small(config.shape, seed=0))
    for step in range(5):
        loss = denoising_loss(network, a_crop_batch(), step, config)
        assert loss.item() == pytest.approx(1, abs=1e-4)


def test_the_network_predicts_the_clean_latents_of_the_scheduler() -> None:
    torch.manual_seed(3)
    network = SmallNetwork(new_small(CONFIG.shape, seed=0))
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.05)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
    )
    scheduler.set_timesteps(10)
    noisy, seen = torch.randn(2, 12, 16, 16), torch.randn(2, 26, 32, 32)
    timesteps = [401, 1]
    with torch.no_grad():
        found = network(noisy, seen, torch.tensor(timesteps))
        for index, timestep in enumerate(timesteps):
            one = slice(index, index + 1)
            words = torch.zeros(1, 1, 8)
            down, middle = network.controlnet(
                noisy[one], timestep, words, seen[one], return_dict=False
            )
            velocity = network.unet(
                noisy[one],
                timestep,
                words,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
            wanted = scheduler.step(velocity, timestep, noisy[one]).pred_original_sample
            np.testing.assert_allclose(found[one], wanted, atol=1e-4)


def test_a_resumed_training_gives_the_same_bits(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"length": Steps(count=3)})
    nothing = HandmadePairs(pairs=[], scenes=[])
    place = Checkpoint(store=Store(root=str(tmp_path)), key="training")
    whole = train_network(small_recipe(config), pairs_of(2), nothing)
    cut_off(
        lambda cut: train_network(
            small_recipe(config), pairs_of(2), nothing, context=Context(checkpoints=cut)
        ),
        place,
        1,
    )
    kept = StoredCheckpoints(place=place, seconds=1000.0)

    again = train_network(
        small_recipe(config), pairs_of(2), nothing, context=Context(checkpoints=kept)
    )

    assert kept.note == "resumed at iteration 1"
    assert small_checkpoint(again.network.small, data="") == (
        small_checkpoint(whole.network.small, data="")
    )
