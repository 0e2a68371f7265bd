"""Packaged weights: their size, model cards and training data."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from tasks.refine.training.metadata import description_in
from tasks.refine.weights import SHIPPED, SHIPPED_CONTROLNET

FILES = pytest.mark.parametrize("file", [SHIPPED, SHIPPED_CONTROLNET], ids=lambda file: file.stem)
MOST_BYTES = 8_000_000
REAL_SCENES = {"hololens_a", "banana", "brighton_drone"}
"""Whose licences allow it; the others are for evaluation only."""


@FILES
def test_packaged_weights_are_small(file: Path) -> None:
    assert file.stat().st_size <= MOST_BYTES


@FILES
def test_the_model_card_matches_the_weights_file(file: Path) -> None:
    content, card = file.read_bytes(), file.with_suffix(".md").read_text(encoding="utf-8")
    assert sha256(content).hexdigest() in card
    assert description_in(content)["licence"] == "Apache-2.0"
    assert "Licence of the weights: Apache-2.0" in card
    assert f"$ unseen train-refiner random real --out {file.name}" in card


@FILES
def test_packaged_weights_were_trained_only_on_permitted_scenes(file: Path) -> None:
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (training|validation) \|", card, re.MULTILINE)
    learnt_from = {name for name, use in rows if use == "training"}
    assert learnt_from > REAL_SCENES
    assert all(re.fullmatch(r"random_\d{6}", name) for name in learnt_from - REAL_SCENES)
