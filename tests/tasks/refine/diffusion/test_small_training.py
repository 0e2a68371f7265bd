"""The small model learns, and what was trained is what the refiner draws."""

from pathlib import Path

import numpy as np
from handmade_pairs import HandmadePairs, a_pair

from tasks.refine.config import ControlNet, RefineConfig
from tasks.refine.diffusion.config import SmallModel
from tasks.refine.diffusion.small import SmallShape, small_checkpoint
from tasks.refine.diffusion.train import train_small
from tasks.refine.residual.config import NetworkConfig, Steps, TrainConfig
from tasks.refine.select import refiner_for
from tasks.refine.weights import find_weights

CONFIG = TrainConfig(
    network=NetworkConfig(photos=2),
    length=Steps(count=60),
    batch=2,
    crop=32,
    crops=10,
    learning_rate=5e-3,
    averaging=0.9,
    validations=1,
)


def test_it_learns_a_pair_and_its_file_draws_the_same(tmp_path: Path) -> None:
    pair = a_pair()
    pairs = HandmadePairs(pairs=[pair], scenes=["room"])

    trained = train_small(pairs, pairs, CONFIG, SmallShape(widths=(16, 16)))

    (scored,) = trained.validations
    assert scored.total.over_render_db > 1
    assert trained.curve.loss[-1] < trained.curve.loss[0]

    (tmp_path / "small.safetensors").write_bytes(small_checkpoint(trained.network.small, data=""))
    config = RefineConfig(
        refiner=ControlNet(weights=SmallModel(file="small.safetensors"), gate=None)
    )
    refined = refiner_for(config, weights=find_weights(tmp_path, config))(pair.views).image[0]

    def psnr_db(image: np.ndarray) -> float:
        return -10 * np.log10(np.mean((image - pair.target.numpy()) ** 2))

    gained = psnr_db(refined.numpy()) - psnr_db(pair.views.render[0].numpy())
    np.testing.assert_allclose(gained, scored.total.over_render_db, atol=0.05)
