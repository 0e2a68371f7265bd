"""Parts shared by several commands: the store, checks, the start of runs, their report."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.config import RefinerConfig, SceneConfig, StageName
from flows.settings import Settings, shared_cores
from storage.schema import check_schema, prepare_store
from storage.store import Store
from tasks.errors import InputError

if TYPE_CHECKING:
    from flows.runs.manifest import SceneEntry


def use_store(option: str | None) -> Store:
    """The store of a command; workers get it from the environment, which the option overrides.

    Raises:
        SchemaError: another version wrote it.
    """
    if option is not None:
        os.environ["UNSEEN_STORE"] = option
    store = Settings().open_store()
    os.environ["UNSEEN_STORE"] = store.root
    check_schema(store)
    return store


def use_writable_store(option: str | None) -> Store:
    """:func:`use_store`, checked before a server or a worker is started.

    Raises:
        StoreError: it cannot be written.
    """
    store = use_store(option)
    prepare_store(store)
    return store


def check_priority(priority: int | None) -> None:
    """
    Raises:
        InputError: a priority below 1.
    """
    if priority is not None and priority < 1:
        raise InputError(
            f"the priority {priority} is below 1, the highest; give a whole number from 1 on"
        )


def print_estimate(entries: "Sequence[SceneEntry]", max_concurrent: int) -> None:
    """Print the expected time and disk space before a run starts."""
    from flows.commands.estimate import SECONDS_ON_TWO_CORES, describe, estimate, rates_of

    settings = Settings()
    machine, store = settings.machine(), settings.open_store()
    fallback = SECONDS_ON_TWO_CORES if machine.device == "cpu" else None
    _, joint = shared_cores(settings.threads, max_concurrent)
    found = estimate(entries, rates_of(store), max_concurrent=joint, fallback=fallback)
    room = shutil.disk_usage(store.local).free if store.local is not None else None
    print("\n".join(describe(found, room)), flush=True)


def start_run(
    dataset: Path,
    run: str,
    scenes: tuple[str, ...],
    config: SceneConfig,
    max_concurrent: int,
    priority: int | None = None,
) -> None:
    """Run a dataset and print the report; exit with status 1 if a scene did not complete."""

    def completed(max_concurrent: int) -> bool:
        from flows.launch.local import run_dataset

        return run_dataset(
            dataset.absolute(),
            run,
            scenes,
            config,
            max_concurrent=max_concurrent,
            priority=priority,
        )

    _with_api(run, max_concurrent, completed)


def resume_run(
    run: str,
    scenes: tuple[str, ...],
    stage: StageName | None,
    max_concurrent: int,
    priority: int | None,
) -> None:
    """Resume a run and print the report; exit with status 1 if a scene did not complete."""

    def completed(max_concurrent: int) -> bool:
        from flows.launch.local import resume_run

        return resume_run(run, scenes, stage, max_concurrent=max_concurrent, priority=priority)

    _with_api(run, max_concurrent, completed)


def _with_api(run: str, max_concurrent: int, completed: Callable[[int], bool]) -> None:
    """Find or start an API, run scenes, and report.

    Args:
        completed: runs that many scenes at a time; whether all scenes of the run have completed.
    """
    from flows.orchestration.api import use_api
    from flows.orchestration.server import find_or_start_api

    threads, max_concurrent = shared_cores(Settings().threads, max_concurrent)
    os.environ["UNSEEN_THREADS"] = str(threads)
    api = find_or_start_api(notify=lambda sentence: print(sentence, file=sys.stderr))
    use_api(api)
    stays = " (started now; keeps running until 'prefect server stop')" if api.started else ""
    print(f"run {run}\nPrefect UI: {api.ui}{api.login}{stays}", flush=True)
    all_completed = completed(max_concurrent)
    print_run_report(run)
    if not all_completed:
        sys.exit(1)


def run_one_scene(
    folder: Path,
    name: str,
    config: SceneConfig,
    run: str | None = None,
    recompute_from: StageName | None = None,
) -> None:
    """Run one scene in this process and print the report."""
    _use_running_api()
    from flows.launch.scene import run_scene

    print_run_report(run_scene(folder, name, config, run, recompute_from))


def run_training(datasets: tuple[str, ...], out: Path, config: RefinerConfig, licence: str) -> None:
    """Train a refiner in this process."""
    _use_running_api()
    from flows.orchestration.log_filters import hide_described_errors
    from flows.train_refiner import train_refiner

    hide_described_errors()
    train_refiner(datasets, str(out), config=config, licence=licence)


def print_run_report(run: str) -> None:
    from flows.report.terminal import print_report

    print_report(Settings().open_store(), run)


@contextlib.contextmanager
def announce_written(file: Path) -> Iterator[None]:
    """Print the name of the file that the block writes.

    Raises:
        InputError: the block could not write it.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: an unknown image format
        raise InputError(f"'{file}' could not be written ({error}); give another file") from error
    print(f"wrote {file}")


def _use_running_api() -> None:
    """Use an API that runs already; without one, Prefect starts a temporary server."""
    from flows.orchestration.api import find_api, use_api, use_temporary_api

    if api := find_api():
        use_api(api)
    else:
        use_temporary_api()
