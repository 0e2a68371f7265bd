"""What stands beside a trained refiner's file: what it saw, how it was trained, how good it is."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from flows.report.table import escaped
from tasks.errors import InputError
from tasks.refine.training.trained import TrainedRefiner, ValidationScore
from tasks.refine.weights import SHIPPED, SHIPPED_CONTROLNET

PACKAGES = ("unseen", "torch", "numpy", "numba", "pycolmap")
"""Whose versions change numbers."""
ARCHITECTURES: Mapping[str, str] = {
    "residual": "a U-Net that blends the pictures of a view and adds what they lack, at once",
    "controlnet": "a UNet of diffusers on pixels, and a ControlNet that is shown what is known of "
    "a view; it takes off noise of any level",
}
"""By refiner."""
PLACES: Mapping[str, tuple[Path, str]] = {
    "residual": (SHIPPED, "refine.refiner.weights"),
    "controlnet": (SHIPPED_CONTROLNET, "refine.refiner.weights.file"),
}
"""Where its weights ship, and the option that names others."""
PROJECT = Path(__file__).parents[2]


def card_beside(weights: Path) -> Path:
    """The card's file.

    Raises:
        InputError: it would be the weights' own.
    """
    card = weights.with_suffix(".md")
    if card == weights:
        raise InputError(
            f"the weights cannot be '{weights.name}', which is to be the card that tells of them; "
            "name them with .safetensors"
        )
    return card


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSeen:
    """A scene that gave pairs."""

    name: str
    use: str
    """``training`` or ``validation``."""
    photos: int
    """With a pose."""
    pairs: int
    photos_digest: str
    """Of the artefact of its photos."""
    pairs_digest: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """A finished training, as its card tells it."""

    refiner: str
    """Its kind in the config."""
    file: str
    """Its name."""
    command: str
    """Without its config."""
    is_ours: bool
    """Whether the config is as we have it, so that the command is whole."""
    licence: str
    scenes: Sequence[SceneSeen]
    left_out: Mapping[str, str]
    """Why, by scene."""
    config: Mapping[str, Any]
    device: str
    learnt: TrainedRefiner


def model_card(training: Training) -> str:
    """Markdown."""
    learnt = training.learnt
    digest = sha256(learnt.content).hexdigest()
    place, option = PLACES[training.refiner]
    lines = [
        f"# {training.file}",
        "",
        "A refiner of novel views of Gaussian splats, trained by `unseen train-refiner`.",
        "",
        f"- Refiner `{training.refiner}`: {ARCHITECTURES[training.refiner]}",
        f"- Place in the project: `{place.relative_to(PROJECT).as_posix()}`; from elsewhere, "
        f"`{option}` names it",
        f"- Licence of the weights: {training.licence}",
        f"- {len(learnt.content):,} bytes, sha256 `{digest}`",
        f"- Versions: {_versions()}, on {training.device}",
        "",
        "```console",
        f"$ {training.command}{'' if training.is_ours else ' --config below.yaml'}",
        "```",
        "",
        "## What it saw",
        "",
        *_data(training),
        "",
        "## How it learnt",
        "",
        *_figures(learnt),
        "",
        "```yaml",
        yaml.safe_dump(dict(training.config), sort_keys=False).rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _data(training: Training) -> list[str]:
    lines = []
    for use in ("training", "validation"):
        of_use = [scene for scene in training.scenes if scene.use == use]
        lines.append(
            f"- {use}: {sum(scene.pairs for scene in of_use)} pairs of {len(of_use)} scenes with "
            f"{sum(scene.photos for scene in of_use)} photos"
        )
    lines += ["", "| scene | use | photos | pairs | digest of its photos | digest of its pairs |"]
    lines.append("|---|---|---:|---:|---|---|")
    for scene in training.scenes:
        cells = (escaped(scene.name), scene.use, str(scene.photos), str(scene.pairs))
        digests = (f"`{digest[:16]}`" for digest in (scene.photos_digest, scene.pairs_digest))
        lines.append(f"| {' | '.join((*cells, *digests))} |")
    if training.left_out:
        lines += ["", "Left out:", ""]
        lines += [f"- {escaped(name)}: {escaped(why)}" for name, why in training.left_out.items()]
    return lines


def _figures(learnt: TrainedRefiner) -> list[str]:
    lines = []
    if learnt.curve:
        last = learnt.curve[-1]
        lines.append(
            f"{last.step:,} steps; the mean loss of the first {learnt.curve[0].step:,} was "
            f"{learnt.curve[0].loss:.4g}, at the end {last.loss:.4g}."
        )
    if not learnt.scores:
        return [*lines, "", "No scene was kept for validation."]
    lines += ["", "| step | scene | views | gain over the render, dB | views made worse |"]
    lines.append("|---:|---|---:|---:|---:|")
    last_step = learnt.scores[-1].step
    lines += [_row(one) for one in learnt.scores if not one.scene or one.step == last_step]
    return lines


def _row(score: ValidationScore) -> str:
    cells = (str(score.step), escaped(score.scene) or "all", str(score.views))
    return f"| {' | '.join(cells)} | {score.gain_db:+.2f} | {score.share_worse:.0%} |"


def _versions() -> str:
    found = [f"{package} {version(package)}" for package in PACKAGES]
    return ", ".join((*found, f"Python {platform.python_version()}"))
