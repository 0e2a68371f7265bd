"""Training a refiner: pairs mined from every scene of some datasets, and a network that learns."""

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, tags
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from flows.config import RefinerConfig
from flows.orchestration.flow_run import end_with_worker, show_life, tag_flow_run
from flows.orchestration.log_filters import log_errors_in_a_sentence
from flows.report.model_card import SceneSeen, Training, card_beside, model_card
from flows.runs.manifest import SceneEntry
from flows.runs.record import REFINER, STARTED, dataset_tag, tag_of
from flows.runs.refiner_scenes import scenes_of, split_scenes
from flows.settings import Settings
from flows.stages.pipeline import SceneArtefacts
from flows.stages.rows import Row, describe, summary_of
from flows.stages.runner import StageRunner
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.store import Store, remove_abandoned_staging
from tasks.caching import stage_progress
from tasks.errors import InputError, TimeLimitError
from tasks.ingest.containment import files_inside
from tasks.ingest.source import digest_files
from tasks.ingest.task import INGEST
from tasks.refine.diffusion.task import TRAIN_CONTROLNET
from tasks.refine.residual.task import TRAIN_RESIDUAL
from tasks.refine.training.artefact import read_trained
from tasks.refine.training.metadata import licensed
from tasks.refine.training.pairs.task import PAIRS
from tasks.refine.training.trained import TrainedRefiner
from tasks.runtime.atomic_file import check_file, whole_file
from tasks.runtime.context import Machine
from tasks.sfm.config import SfmConfig
from tasks.sfm.task import SFM
from tasks.stage import Stage

TRAININGS: Mapping[str, Stage] = {"residual": TRAIN_RESIDUAL, "controlnet": TRAIN_CONTROLNET}
"""Stage that trains each kind of refiner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedScene:
    """The artefacts of a scene that gave pairs."""

    photos: ArrayHandle
    sparse: ArrayHandle
    pairs: ArrayHandle


def _name_of_run() -> str:
    return flow_run.parameters.get("run") or f"{REFINER}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@flow(name="train-refiner", flow_run_name=_name_of_run, persist_result=False)
def train_refiner(
    datasets: tuple[str, ...],
    out: str,
    run: str | None = None,
    config: RefinerConfig = RefinerConfig(),
    licence: str = "Apache-2.0",
) -> None:
    """Mine pairs from every scene, one after the other, train on them, and write the weights.

    What was finished before, by this or another run, is recalled; a training that was cut off goes
    on from its checkpoint.

    Args:
        datasets: folders of scene folders or manifests.
        out: file for the weights; a card of the model comes beside it, named ``.md``.
        run: the name its rows are kept under; made from the time where absent.
        config: everything that changes the result.
        licence: of the weights, for their file and the card.

    Raises:
        InputError: there is no such dataset, no scene gave pairs, or ``out`` cannot be written or
            is named as the card is.
        UnseenError: the machine did not allow the training.
    """
    show_life()
    log_errors_in_a_sentence()
    settings = Settings()
    machine = settings.machine()
    run = run or str(flow_run.name)
    file = Path(out)
    card_file = card_beside(file)
    check_file(file)
    remove_abandoned_staging(machine.store)
    entries = scenes_of(datasets, config, settings.roots())
    seen_as = (tag_of(run), *(dataset_tag(Path(one)) for one in datasets))
    with end_with_worker(), tags(*tag_flow_run(*seen_as)), _told_as_refiner(machine.store, run):
        mined, left_out = _mine(entries, run, config, machine, settings)
        split = split_scenes(tuple(mined), config.validation)
        refiner = _stages(machine, run, REFINER, settings)(
            TRAININGS[config.train.kind],
            training=tuple(mined[name].pairs for name in split.training),
            validation=tuple(mined[name].pairs for name in split.validation),
            config=config.train,
        )
    learnt = read_trained(refiner)
    # The stage knows no licence: another one is no reason to train again.
    learnt = replace(learnt, content=licensed(learnt.content, licence))
    write_rows(machine.store, "training", run=run, scene=REFINER, rows=_curve(learnt))
    card = Training(
        refiner=config.train.kind,
        file=file.name,
        command=shlex.join(
            ["unseen", "train-refiner", *datasets, "--out", out, "--licence", licence]
        ),
        is_ours=config == RefinerConfig(),
        licence=licence,
        scenes=[
            _seen(name, "training" if name in split.training else "validation", scene)
            for name, scene in mined.items()
        ],
        left_out=left_out,
        config=config.model_dump(mode="json"),
        device=machine.device,
        learnt=learnt,
    )
    for path, content in ((file, learnt.content), (card_file, model_card(card).encode())):
        with whole_file(path) as writing:
            writing.write(content)


@contextlib.contextmanager
def _told_as_refiner(store: Store, run: str) -> Iterator[None]:
    """A row in ``scenes`` that says how far the training came, a killed one's too.

    By that row, until it has completed, its checkpoint is kept from removal.
    """
    started = time.monotonic()

    def tell(state: str, **more: Any) -> None:
        row = {"state": state, "seconds": time.monotonic() - started, **more}
        write_rows(store, "scenes", run=run, scene=REFINER, rows=[row])

    tell(STARTED)
    try:
        yield
    except Exception as error:
        tell("failed", **describe(error))
        raise
    tell("completed")


def _mine(
    entries: Sequence[SceneEntry],
    run: str,
    config: RefinerConfig,
    machine: Machine,
    settings: Settings,
) -> tuple[dict[str, MinedScene], dict[str, str]]:
    """The scenes that gave pairs, and why others did not, by name.

    Raises:
        InputError: none did.
    """
    mined: dict[str, MinedScene] = {}
    left_out: dict[str, str] = {}
    progress = stage_progress("scenes")
    for number, entry in enumerate(entries):
        progress(number / len(entries), f"mining {entry.name}")
        started = time.monotonic()
        row: dict[str, Any] = {"state": "completed"}
        try:
            mined[entry.name] = _mined(entry, run, config, machine, settings)
            made = mined[entry.name]
            row |= summary_of(SceneArtefacts(photos=made.photos, sparse=made.sparse))
        except Exception as error:
            row = {"state": "failed", **describe(error)}
            left_out[entry.name] = row["error_message"]
            get_run_logger().warning("scene %s is left out: %s", entry.name, left_out[entry.name])
        row["seconds"] = time.monotonic() - started
        write_rows(machine.store, "scenes", run=run, scene=entry.name, rows=[row])
    if not mined:
        name, why = next(iter(left_out.items()))
        raise InputError(
            f"none of {len(entries)} scenes gave pairs, so there is nothing to learn from; the "
            f"first, '{name}', says: {why}"
        )
    progress(1.0, f"{len(mined)} of {len(entries)} scenes gave pairs")
    return mined, left_out


def _mined(
    entry: SceneEntry, run: str, config: RefinerConfig, machine: Machine, settings: Settings
) -> MinedScene:
    if entry.error is not None:
        raise entry.error
    stages = _stages(machine, run, entry.name, settings)
    source = digest_files(files_inside(Path(entry.folder), settings.roots()))
    photos = stages(INGEST, source=source, config=entry.config.ingest)
    sparse = stages(SFM, photos=photos, config=with_given(entry.config.sfm, photos))
    pairs = stages(PAIRS, sparse=sparse, config=config.pairs_of(entry.name))
    return MinedScene(photos=photos, sparse=sparse, pairs=pairs)


def with_given(config: SfmConfig, photos: ArrayHandle) -> SfmConfig:
    """Takes the cameras that came with the photos, if any did, unless the config says otherwise."""
    if config.poses != "auto" or photos.attributes["reference_kind"] is None:
        return config
    return config.model_copy(update={"poses": "given"})


def _stages(machine: Machine, run: str, scene: str, settings: Settings) -> StageRunner:
    def on_timeout(error: TimeLimitError, stages: Sequence[Row]) -> None:
        print(f"unseen: {error}", file=sys.stderr, flush=True)

    return StageRunner(
        machine=machine,
        run=run,
        scene=scene,
        limit_seconds=settings.stage_seconds,
        on_timeout=on_timeout,
    )


def _seen(name: str, use: str, scene: MinedScene) -> SceneSeen:
    return SceneSeen(
        name=name,
        use=use,
        photos=len(scene.sparse.attributes["names"]),
        pairs=len(scene.pairs.attributes["pairs"]),
        photos_digest=scene.photos.digest,
        pairs_digest=scene.pairs.digest,
    )


def _curve(learnt: TrainedRefiner) -> list[Mapping[str, Any]]:
    """Rows of the table ``training``."""
    losses = [
        {"stage": "train", "iteration": point.step, "loss": point.loss} for point in learnt.curve
    ]
    gains = [
        {"stage": "train", "iteration": score.step, "held_out_gain_db": score.gain_db}
        for score in learnt.scores
        if not score.scene
    ]
    return [*losses, *gains]
