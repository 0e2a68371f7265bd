"""Model card of a trained refiner: its data, its training and its validation."""

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
"""Packages whose versions change numbers."""
ARCHITECTURES: Mapping[str, str] = {
    "residual": "a U-Net that blends the images of a view and adds a residual, in one pass",
    "controlnet": "a UNet for diffusion in pixel space with a ControlNet conditioned on "
    "the render, the warped photos and their confidence",
}
"""Architecture, by kind of refiner."""
PLACES: Mapping[str, tuple[Path, str]] = {
    "residual": (SHIPPED, "refine.refiner.weights"),
    "controlnet": (SHIPPED_CONTROLNET, "refine.refiner.weights.file"),
}
"""Path of the weights in the project, and the option for others, by kind of refiner."""
PROJECT = Path(__file__).parents[2]


def card_beside(weights: Path) -> Path:
    """The card's file.

    Raises:
        InputError: the weights' file does not end with .safetensors, so that a run that is
            submitted by a form could replace any file of ours.
    """
    if weights.suffix != ".safetensors":
        raise InputError(
            f"the weights cannot be written to '{weights.name}', which may be something else; end "
            "the name with .safetensors"
        )
    return weights.with_suffix(".md")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardScene:
    """A scene that contributed pairs."""

    name: str
    use: str
    """``training`` or ``validation``."""
    photos: int
    """Number with a pose."""
    pairs: int
    photos_digest: str
    """Digest of its photos' artefact."""
    pairs_digest: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelCard:
    """A finished training, for its card."""

    refiner: str
    """Kind of the refiner in the config."""
    file: str
    """Name of the weights' file."""
    command: str
    """Command line without the config."""
    is_ours: bool
    """Whether the config is the default, so that the command is complete."""
    licence: str
    scenes: Sequence[CardScene]
    left_out: Mapping[str, str]
    """Reason, by scene."""
    config: Mapping[str, Any]
    device: str
    trained: TrainedRefiner


def model_card(training: ModelCard) -> str:
    """The card in markdown."""
    trained = training.trained
    digest = sha256(trained.content).hexdigest()
    place, option = PLACES[training.refiner]
    lines = [
        f"# {training.file}",
        "",
        "A refiner of novel views of Gaussian splats, trained by `unseen train-refiner`.",
        "",
        f"- Refiner `{training.refiner}`: {ARCHITECTURES[training.refiner]}",
        f"- Place in the project: `{place.relative_to(PROJECT).as_posix()}`; from elsewhere, "
        f"`{option}`",
        f"- Licence of the weights: {training.licence}",
        f"- {len(trained.content):,} bytes, sha256 `{digest}`",
        f"- Versions: {_versions()}, on {training.device}",
        "",
        "```console",
        f"$ {training.command}{'' if training.is_ours else ' --config below.yaml'}",
        "```",
        "",
        "## Data",
        "",
        *_data(training),
        "",
        "## Training",
        "",
        *_figures(trained),
        "",
        "```yaml",
        yaml.safe_dump(dict(training.config), sort_keys=False).rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _data(training: ModelCard) -> list[str]:
    lines = []
    for use in ("training", "validation"):
        of_use = [scene for scene in training.scenes if scene.use == use]
        lines.append(
            f"- {use}: {sum(scene.pairs for scene in of_use)} pairs of {len(of_use)} scenes with "
            f"{sum(scene.photos for scene in of_use)} photos"
        )
    lines += ["", "| scene | use | photos | pairs | digest of photos | digest of pairs |"]
    lines.append("|---|---|---:|---:|---|---|")
    for scene in training.scenes:
        cells = (escaped(scene.name), scene.use, str(scene.photos), str(scene.pairs))
        digests = (f"`{digest[:16]}`" for digest in (scene.photos_digest, scene.pairs_digest))
        lines.append(f"| {' | '.join((*cells, *digests))} |")
    if training.left_out:
        lines += ["", "Left out:", ""]
        lines += [f"- {escaped(name)}: {escaped(why)}" for name, why in training.left_out.items()]
    return lines


def _figures(trained: TrainedRefiner) -> list[str]:
    lines = []
    if trained.curve:
        last = trained.curve[-1]
        lines.append(
            f"{last.step:,} steps; the mean loss of the first {trained.curve[0].step:,} was "
            f"{trained.curve[0].loss:.4g}, at the end {last.loss:.4g}."
        )
    if not trained.scores:
        return [*lines, "", "No scene was withheld for validation."]
    lines += ["", "| step | scene | views | gain over the render, dB | degraded views |"]
    lines.append("|---:|---|---:|---:|---:|")
    last_step = trained.scores[-1].step
    lines += [_row(one) for one in trained.scores if not one.scene or one.step == last_step]
    return lines


def _row(score: ValidationScore) -> str:
    cells = (str(score.step), escaped(score.scene) or "all", str(score.views))
    return f"| {' | '.join(cells)} | {score.gain_db:+.2f} | {score.share_worse:.0%} |"


def _versions() -> str:
    found = [f"{package} {version(package)}" for package in PACKAGES]
    return ", ".join((*found, f"Python {platform.python_version()}"))
