"""The command ``unseen``: each sub-command is a function, its options are its parameters."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro

from flows.commands.options import (
    Config,
    ConfigFile,
    MaxConcurrent,
    Priority,
    RefinerOptions,
    RunArgument,
    RunOption,
    Scenes,
    StoreOption,
    TrainOnOption,
)
from flows.commands.parse import parse
from flows.commands.trust import Trusted, TrustOptions
from flows.commands.working_folder import check_working_folder
from flows.config import RefinerConfig, SceneConfig, StageName
from flows.settings import Settings, configure_prefect
from storage.errors import UnseenError
from storage.names import showable
from storage.schema import prepare_store
from tasks.config import overridden
from tasks.errors import InputError


def run(
    dataset: tyro.conf.Positional[Path],
    config: Config = SceneConfig(),
    config_file: ConfigFile = None,
    scenes: Scenes = (),
    store: StoreOption = None,
    trust: Trusted = TrustOptions(),
    name: str | None = None,
    max_concurrent: MaxConcurrent = 0,
    priority: Priority = None,
) -> None:
    """Reconstruct and evaluate every scene of a dataset, each in its own process.

    Args:
        dataset: Folder with one sub-folder of photos per scene, or a YAML or CSV manifest.
        name: Name of the run; default: dataset and time.
    """
    from flows.commands.common import check_priority, print_estimate, start_run, use_store
    from flows.runs.manifest import find_scenes
    from flows.runs.passed_over import passed_over
    from flows.runs.record import new_run_name

    # All input is checked before a server or a worker is started.
    opened = use_store(store)
    trust.use(config)
    check_priority(priority)
    entries = find_scenes(dataset, config, scenes, roots=Settings().roots())
    if no_scenes := passed_over(dataset):
        print(no_scenes)
    prepare_store(opened)
    print_estimate(entries, max_concurrent)
    start_run(dataset, name or new_run_name(dataset), scenes, config, max_concurrent, priority)


def resume(
    run: RunArgument = None,
    scenes: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            help="Names of the scenes to rerun, completed ones included; default: all that have "
            "not completed."
        ),
    ] = (),
    stage: Annotated[
        StageName | None,
        tyro.conf.arg(help="First stage to recompute, with all later ones, although cached."),
    ] = None,
    store: StoreOption = None,
    trust: Trusted = TrustOptions(),
    max_concurrent: MaxConcurrent = 0,
    priority: Priority = None,
) -> None:
    """Rerun the failed, crashed and missing scenes of a run, from their last finished stage."""
    from flows.commands.common import check_priority, resume_run, run_one_scene, use_store
    from flows.runs.record import load_run, scenes_to_resume

    opened = use_store(store)
    trust.use()
    check_priority(priority)
    record = load_run(opened, run)  # before a store with a typo in its name is made
    prepare_store(opened)
    if not scenes_to_resume(opened, record, scenes):
        print(
            f"nothing to do: all {len(record.scenes)} scenes of {record.run} have completed; "
            "--scenes reruns completed ones"
        )
        return
    if record.folder is not None:
        config = overridden(SceneConfig(), record.config, where=f"the config of run '{record.run}'")
        run_one_scene(Path(record.folder), record.scenes[0], config, record.run, stage)
        return
    resume_run(record.run, scenes, stage, max_concurrent, priority)


def scene(
    folder: tyro.conf.Positional[Path],
    config: Config = SceneConfig(),
    config_file: ConfigFile = None,
    train_on: TrainOnOption = (),
    store: StoreOption = None,
    trust: Trusted = TrustOptions(),
    name: str | None = None,
) -> None:
    """Reconstruct and evaluate one folder of photos or one video, in this process.

    Args:
        folder: Folder of photos, or with a sub-folder `images` of photos; or a video file.
        name: Name of the scene; default: name of the folder or the video.
    """
    from flows.commands.common import run_one_scene, use_store
    from storage.names import check_name
    from tasks.ingest.folder import is_video

    opened = use_store(store)
    trust.use(config)
    name = name or (folder.stem if is_video(folder) else folder.resolve().name)
    check_name(name)
    if not folder.is_dir() and not is_video(folder):
        raise InputError(
            f"'{folder}' is no folder and no video; give a folder with the photos of one scene"
        )
    prepare_store(opened)
    if train_on:
        changes = {"split": {"kind": "train_on", "photos": train_on}}
        config = overridden(config, changes, where="the option --train-on")
    run_one_scene(folder.absolute(), name, config)


def serve(
    datasets: tyro.conf.Positional[tuple[Path, ...]] = (),
    config: Config = SceneConfig(),
    config_file: ConfigFile = None,
    cron: str = "0 2 * * *",
    timezone: str = "UTC",
    store: StoreOption = None,
    trust: Trusted = TrustOptions(),
    max_concurrent: MaxConcurrent = 0,
) -> None:
    """Run Prefect's server, workers and schedules on this machine until Ctrl-C.

    Args:
        datasets: Folders or manifests to run on the schedule; cached stages are not recomputed.
        cron: Schedule: minute, hour, day of the month, month, day of the week.
        timezone: Time zone of the schedule, such as Europe/Zurich.
    """
    from flows.commands.common import use_writable_store

    use_writable_store(store)
    trust.use(config)
    from flows.launch.deployments import Scheduled
    from flows.launch.serve import serve as serve_until_signal

    scheduled = tuple(
        Scheduled(dataset=dataset, config=config, cron=cron, timezone=timezone)
        for dataset in datasets
    )
    serve_until_signal(scheduled, max_concurrent=max_concurrent)


def status(run: RunArgument = None, store: StoreOption = None) -> None:
    """Show the progress of the scenes of a run."""
    from flows.commands.common import use_store
    from flows.report.terminal import print_status

    print_status(use_store(store), run)


def report(
    run: RunArgument = None,
    store: StoreOption = None,
    markdown: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """Show the table of a run.

    Args:
        markdown: File for the table as markdown, `-` for standard output, in place of the terminal.
        pictures: Image file for held-out photos beside their renders.
    """
    from flows.commands.common import announce_written, print_run_report, use_store
    from flows.report.table import markdown_report
    from flows.runs.record import load_run

    opened = use_store(store)
    record = load_run(opened, run)
    if pictures is not None:
        from flows.report.pictures import contact_sheet

        with announce_written(pictures):
            contact_sheet(opened, record).save(pictures, quality=85)
    if markdown is None:
        print_run_report(record.run)
    elif str(markdown) == "-":
        print(markdown_report(opened, record.run), end="")
    else:
        with announce_written(markdown):
            markdown.write_text(markdown_report(opened, record.run), encoding="utf-8")


def export(
    folder: tyro.conf.Positional[Path],
    run: RunOption = None,
    scenes: Scenes = (),
    format: Literal["colmap", "transforms", "ply", "spz"] = "colmap",
    background: bool = False,
    store: StoreOption = None,
) -> None:
    """Export scenes for other tools: cameras, points and photos as a folder, or splats as a file.

    Args:
        folder: Destination of the scenes' folders or files.
        format: COLMAP model, nerfstudio's transforms.json, or the splat as PLY or SPZ (smaller).
        background: Include the background Gaussians, a shell that hides the scene from outside.
    """
    from flows.commands.common import use_store
    from flows.commands.export import export_scenes

    for written in export_scenes(
        use_store(store), run, scenes, folder, format, background=background
    ):
        print(f"wrote {written}", flush=True)


def film(
    folder: tyro.conf.Positional[Path],
    run: RunOption = None,
    scenes: Scenes = (),
    path: Literal["auto", "spline", "ellipse", "spiral"] = "auto",
    seconds: float = 8.0,
    max_size: int = 960,
    store: StoreOption = None,
) -> None:
    """Render a camera flight through the splats of a run, one video file per scene.

    Args:
        folder: Destination of the video files.
        path: Camera path; auto chooses by the arrangement of the training cameras.
        seconds: Length of the video, s.
        max_size: Longest edge, px.
    """
    from flows.commands.common import use_store
    from flows.commands.film import film_scenes

    use_store(store)
    written = film_scenes(
        Settings(), run, scenes, folder, path=path, seconds=seconds, longest_edge=max_size
    )
    for file in written:
        print(f"wrote {file}", flush=True)


def train_refiner(
    datasets: tyro.conf.Positional[tuple[Path, ...]],
    out: Path,
    config: RefinerOptions = RefinerConfig(),
    config_file: ConfigFile = None,
    store: StoreOption = None,
    licence: str = "Apache-2.0",
) -> None:
    """Train a view refiner on pairs mined from the scenes of datasets, in this process.

    Args:
        datasets: Folders with one sub-folder of photos per scene, or manifests.
        out: File for the weights (.safetensors); the model card is written beside it (.md).
        licence: Licence of the weights, recorded in both files.
    """
    from flows.commands.common import run_training, use_store
    from flows.report.model_card import card_beside
    from flows.runs.refiner_scenes import scenes_of
    from tasks.runtime.atomic_file import check_file

    # All input is checked before anything is started.
    opened = use_store(store)
    names = tuple(str(dataset) for dataset in datasets)
    scenes_of(names, config, Settings().roots())
    card = card_beside(out)
    check_file(out)
    prepare_store(opened)
    run_training(names, out, config, licence)
    print(f"wrote {out} and {card}")


def gc(
    keep_runs: int | None = None,
    drop: tuple[str, ...] = (),
    delete: bool = False,
    older_than_minutes: float = 15.0,
    store: StoreOption = None,
) -> None:
    """List unreferenced results in the store; --delete removes them.

    Args:
        keep_runs: Keep the newest N runs, and any that have not ended.
        drop: Names of runs to give up.
        delete: Remove the listed results.
        older_than_minutes: Keep anything newer, which active scenes may need, minutes.
    """
    from datetime import timedelta

    from flows.commands.common import use_store
    from flows.commands.gc import bytes_of, find_garbage, print_garbage, remove_garbage
    from flows.runs.progress import is_ongoing
    from flows.runs.record import check_not_empty

    opened = use_store(store)
    garbage = find_garbage(
        opened,
        drop=drop,
        keep_runs=keep_runs,
        is_ongoing=is_ongoing,
        age=timedelta(minutes=older_than_minutes),
    )
    if not any(count for count, _ in bytes_of(garbage).values()):
        check_not_empty(opened)
    print_garbage(garbage, listed=not delete)
    if delete:
        for removed in remove_garbage(opened, garbage):
            print(f"removed {removed}", flush=True)


def verify(run: str | None = None, store: StoreOption = None) -> None:
    """Read everything in the store and check every sha256.

    Args:
        run: Name of a run, to check only its results; default: the whole store.
    """
    from flows.commands.common import use_store
    from flows.commands.verify import verify as find_faults
    from tasks.runtime.progress import progress_line

    opened = use_store(store)
    count = 0
    for fault in find_faults(opened, run, progress_line("verify")):
        print(fault, flush=True)
        count += 1
    if count:
        sys.exit(f"unseen: {count} faults in {opened.root}, damaged or missing, listed above")
    print("no faults found")


def demo(
    folder: tyro.conf.Positional[Path] = Path("unseen-demo"), max_concurrent: MaxConcurrent = 0
) -> None:
    """Render three synthetic scenes and run the whole pipeline on them.

    Args:
        folder: Folder for the photos and the store; created if missing.
    """
    from flows.commands.common import start_run, use_writable_store
    from flows.commands.demo import demo_config, render_demo
    from flows.runs.record import new_run_name

    use_writable_store(str(folder / "store"))
    dataset = render_demo(folder)
    start_run(dataset, new_run_name(Path("demo")), (), demo_config(), max_concurrent)


def random_scenes(
    folder: tyro.conf.Positional[Path],
    count: int = 10,
    first: int = 0,
    max_size: int = 480,
    effects: bool = True,
) -> None:
    """Render random synthetic scenes with exact cameras, as a dataset for training or tests.

    Args:
        folder: Folder of the dataset; existing scenes are kept.
        count: Number of scenes.
        first: Seed of the first scene; later scenes use the following seeds. No bundled refiner was
            trained, and nothing tuned, on those above 1,000,000: measure on them.
        max_size: Longest edge of a photo, px.
        effects: Simulate a camera: drift of exposure and colour, blur, noise.
    """
    from flows.commands.demo import render_random_scenes

    seeds = range(first, first + count)
    for written in render_random_scenes(folder, seeds, long_side=max_size, effects=effects):
        print(f"wrote {written}")


def doctor(store: StoreOption = None) -> None:
    """Check this installation: packages, CUDA, Prefect API, store, versions."""
    from flows.commands.common import use_store
    from flows.commands.doctor import examine

    use_store(store)
    if not examine(Settings()):
        sys.exit(1)


def warm_up() -> None:
    """Compile the CPU kernels, once per environment."""
    from flows.commands.doctor import compile_kernels

    compile_kernels()


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "run": run,
    "scene": scene,
    "resume": resume,
    "serve": serve,
    "status": status,
    "report": report,
    "export": export,
    "film": film,
    "train-refiner": train_refiner,
    "random-scenes": random_scenes,
    "verify": verify,
    "gc": gc,
    "doctor": doctor,
    "warm-up": warm_up,
}


KEPT = "; finished stages are kept, 'unseen resume' continues the run"


class Terminated(KeyboardInterrupt):
    """SIGTERM came: everything ends as it does after Ctrl-C."""


def _terminate(*_: object) -> None:
    raise Terminated


def main() -> None:
    configure_prefect()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        check_working_folder(Path.cwd())
        parse(COMMANDS, sys.argv[1:])()
    except UnseenError as error:
        sys.exit(f"unseen: {showable(str(error))}")
    except BrokenPipeError:  # the reader of our output, such as 'head', has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Terminated:
        print(f"unseen: terminated{KEPT}", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        sys.exit(f"unseen: interrupted{KEPT}")
