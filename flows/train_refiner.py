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
from flows.report.model_card import CardScene, ModelCard, card_beside, model_card
from flows.runs.manifest import SceneEntry
from flows.runs.record import REFINER, STARTED, dataset_tag, tag_of
from flows.runs.refiner_scenes import SceneSplit, scenes_of, split_scenes
from flows.settings import Settings
from flows.stages.pipeline import SceneArtefacts
from flows.stages.rows import Row, describe, summary_of
from flows.stages.runner import StageRunner
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.schema import mark_schema
from storage.store import Store, remove_abandoned_staging
from tasks.caching import stage_progress
from tasks.errors import InputError
from tasks.ingest.containment import files_inside
from tasks.ingest.source import digest_files
from tasks.ingest.task import INGEST
from tasks.refine.diffusion.task import TRAIN_CONTROLNET
from tasks.refine.residual.task import TRAIN_RESIDUAL
from tasks.refine.training.artefact import read_trained
from tasks.refine.training.metadata import licensed
from tasks.refine.training.pairs.task import PAIRS
from tasks.refine.training.trained import TrainedRefiner
from tasks.runtime.atomic_file import check_file, write_atomically
from tasks.runtime.context import Machine
from tasks.sfm.config import SfmConfig
from tasks.sfm.task import SFM
from tasks.sfm.weights import weights_for
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
    """Mine pairs from every scene in turn, train on them, and write the weights.

    Stages that finished before, in this or another run, are recalled; a training that was cut off
    resumes from its checkpoint.

    Args:
        datasets: Folders of scene folders, or manifests.
        out: File for the weights; the model card is written beside it, as ``.md``.
        run: Name of the run; default: the start time.
        config: Everything that changes the result.
        licence: Licence of the weights, written to their file and the card.

    Raises:
        InputError: there is no such dataset, no scene gave pairs, or ``out`` cannot be written.
        UnseenError: the machine did not allow the training.
    """
    show_life()
    log_errors_in_a_sentence()
    settings = Settings()
    training = Training(
        settings=settings,
        machine=settings.machine(),
        run=run or str(flow_run.name),
        config=config,
    )
    store, file = training.machine.store, Path(out)
    mark_schema(store)
    card_file = card_beside(file)
    check_file(file)
    remove_abandoned_staging(store)
    entries = scenes_of(datasets, config, settings.roots())
    wanted = (tag_of(training.run), *(dataset_tag(Path(one)) for one in datasets))
    with end_with_worker(), tags(*tag_flow_run(*wanted)), _state_in_table(store, training.run):
        mined, left_out = training.mine(entries)
        split = split_scenes(tuple(mined), config.validation)
        trained = read_trained(training.train(mined, split))
    # The licence is no part of the stage's key: another one is no reason to train again.
    trained = replace(trained, content=licensed(trained.content, licence))
    write_rows(store, "training", run=training.run, scene=REFINER, rows=_curve(trained))
    words = ("unseen", "train-refiner", *datasets, "--out", out, "--licence", licence)
    card = ModelCard(
        refiner=config.train.kind,
        file=file.name,
        command=shlex.join(words),
        is_ours=config == RefinerConfig(),
        licence=licence,
        scenes=[_card_scene(name, mined[name], split) for name in mined],
        left_out=left_out,
        config=config.model_dump(mode="json"),
        device=training.machine.device,
        trained=trained,
    )
    write_atomically(file, trained.content)
    write_atomically(card_file, model_card(card).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training of a refiner: where it runs, under which name, and how."""

    settings: Settings
    machine: Machine
    run: str
    config: RefinerConfig

    def mine(self, entries: Sequence[SceneEntry]) -> tuple[dict[str, MinedScene], dict[str, str]]:
        """Mine pairs from every scene; a scene that fails is left out.

        Returns:
            The scenes that gave pairs, and the error messages of the others, by name.

        Raises:
            InputError: no scene gave pairs.
        """
        mined: dict[str, MinedScene] = {}
        left_out: dict[str, str] = {}
        progress = stage_progress("scenes")
        for number, entry in enumerate(entries):
            progress(number / len(entries), f"mining {entry.name}")
            started = time.monotonic()
            row: Row = {"state": "completed"}
            try:
                made = mined[entry.name] = self._mine_scene(entry)
                row |= summary_of(SceneArtefacts(photos=made.photos, sparse=made.sparse))
            except Exception as error:
                row = {"state": "failed", **describe(error)}
                left_out[entry.name] = row["error_message"]
                get_run_logger().warning(
                    "scene %s is left out: %s", entry.name, left_out[entry.name]
                )
            row["seconds"] = time.monotonic() - started
            store = self.machine.store
            write_rows(store, "scenes", run=self.run, scene=entry.name, rows=[row])
        if not mined:
            name, why = next(iter(left_out.items()))
            raise InputError(
                f"none of {len(entries)} scenes gave pairs, so there is nothing to learn from; the "
                f"first, '{name}', says: {why}"
            )
        progress(1.0, f"{len(mined)} of {len(entries)} scenes gave pairs")
        return mined, left_out

    def _mine_scene(self, entry: SceneEntry) -> MinedScene:
        if entry.error is not None:
            raise entry.error
        stages = self._stages(entry.name)
        folder, roots = Path(entry.folder), self.settings.roots()
        source = digest_files(files_inside(folder, roots))
        photos = stages(INGEST, source=source, config=entry.config.ingest)
        config = with_given(entry.config.sfm, photos)
        weights = weights_for(config, folder, roots)
        sparse = stages(SFM, photos=photos, config=config, weights=weights)
        pairs = stages(PAIRS, sparse=sparse, config=self.config.pairs_of(entry.name))
        return MinedScene(photos=photos, sparse=sparse, pairs=pairs)

    def train(self, mined: Mapping[str, MinedScene], split: SceneSplit) -> ArrayHandle:
        """Train on the pairs of the training scenes."""
        return self._stages(REFINER)(
            TRAININGS[self.config.train.kind],
            training=tuple(mined[name].pairs for name in split.training),
            validation=tuple(mined[name].pairs for name in split.validation),
            config=self.config.train,
        )

    def _stages(self, scene: str) -> StageRunner:
        return StageRunner(
            machine=self.machine,
            run=self.run,
            scene=scene,
            limit_seconds=self.settings.stage_seconds,
            on_timeout=lambda error, _: print(f"unseen: {error}", file=sys.stderr, flush=True),
        )


@contextlib.contextmanager
def _state_in_table(store: Store, run: str) -> Iterator[None]:
    """Keep a row in ``scenes`` with the state of the training, that of a killed one included.

    Until the row says completed, gc keeps the checkpoint of the training.
    """
    started = time.monotonic()

    def write(state: str, **more: Any) -> None:
        row = {"state": state, "seconds": time.monotonic() - started, **more}
        write_rows(store, "scenes", run=run, scene=REFINER, rows=[row])

    write(STARTED)
    try:
        yield
    except Exception as error:
        write("failed", **describe(error))
        raise
    write("completed")


def with_given(config: SfmConfig, photos: ArrayHandle) -> SfmConfig:
    """The config that takes the cameras given with the photos, where ``poses`` is ``auto``."""
    if config.poses != "auto" or photos.attributes["reference_kind"] is None:
        return config
    return config.model_copy(update={"poses": "given"})


def _card_scene(name: str, scene: MinedScene, split: SceneSplit) -> CardScene:
    return CardScene(
        name=name,
        use="training" if name in split.training else "validation",
        photos=len(scene.sparse.attributes["names"]),
        pairs=len(scene.pairs.attributes["pairs"]),
        photos_digest=scene.photos.digest,
        pairs_digest=scene.pairs.digest,
    )


def _curve(trained: TrainedRefiner) -> list[Mapping[str, Any]]:
    """Rows of the table ``training``."""
    losses = [
        {"stage": "train", "iteration": point.step, "loss": point.loss} for point in trained.curve
    ]
    gains = [
        {"stage": "train", "iteration": score.step, "held_out_gain_db": score.gain_db}
        for score in trained.scores
        if not score.scene
    ]
    return [*losses, *gains]
