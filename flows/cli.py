"""The command ``unseen``: each sub-command is a function, its options are its parameters."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from flows.commands.parse import parse
from flows.config import RefinerConfig, SceneConfig, Stage
from flows.settings import Settings, configure_prefect, shared_cores
from storage.errors import UnseenError
from tasks.config import overridden
from tasks.errors import InputError

if TYPE_CHECKING:
    from flows.runs.manifest import SceneEntry

Config = Annotated[SceneConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
RefinerOptions = Annotated[RefinerConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
StoreOption = Annotated[
    str | None, tyro.conf.arg(help="Where results go: a directory or an fsspec URL (UNSEEN_STORE).")
]
RunOption = Annotated[str | None, tyro.conf.arg(help="Name of a run; the last one if left out.")]
RunArgument = Annotated[RunOption, tyro.conf.Positional]
ConfigFile = Annotated[
    Path | None,
    tyro.conf.arg(name="config", help="YAML file that sets options; those given here win."),
]
Scenes = Annotated[tuple[str, ...], tyro.conf.arg(help="Take only these scenes, by name.")]
AtOnce = Annotated[
    int, tyro.conf.arg(help="Scenes at a time on this machine's CPUs; 0 for one for every 4 cores.")
]
Priority = Annotated[
    int | None,
    tyro.conf.arg(
        help="Of the run among others that the same workers serve: 1 goes first, and the last to "
        "be started goes last where it is left out."
    ),
]
TrainOnOption = Annotated[
    tuple[str, ...], tyro.conf.arg(help="Fit to these photos, by file name, and hold out the rest.")
]


def run(
    dataset: tyro.conf.Positional[Path],
    config: Config = SceneConfig(),
    config_file: ConfigFile = None,
    scenes: Scenes = (),
    store: StoreOption = None,
    name: str | None = None,
    max_concurrent: AtOnce = 0,
    priority: Priority = None,
) -> None:
    """Reconstruct and score every scene of a dataset, each in a process of its own.

    Args:
        dataset: A folder with a sub-folder of photos for each scene, or a YAML or CSV manifest.
        name: Of the run; made from the dataset and the time if left out.
    """
    from flows.runs.manifest import find_scenes
    from flows.runs.record import new_run_name

    _use_store(store)
    # What can be refused is refused before a server or a worker is started.
    _check_priority(priority)
    entries = find_scenes(dataset, config, scenes, roots=Settings().roots())
    Settings().open_store().check_writable()
    _print_estimate(entries, max_concurrent)
    _run_new(dataset, name or new_run_name(dataset), scenes, config, max_concurrent, priority)


def resume(
    run: RunArgument = None,
    scenes: Annotated[
        tuple[str, ...], tyro.conf.arg(help="Run these, by name, though they have completed.")
    ] = (),
    stage: Annotated[
        Stage | None, tyro.conf.arg(help="Compute this one and what follows anew.")
    ] = None,
    store: StoreOption = None,
    max_concurrent: AtOnce = 0,
    priority: Priority = None,
) -> None:
    """Run again what failed, died or is missing in a run, from its last finished stage."""
    from flows.runs.record import load_run, scenes_to_resume

    _use_store(store)
    _check_priority(priority)
    opened = Settings().open_store()
    opened.check_writable()
    record = load_run(opened, run)
    if not scenes_to_resume(opened, record, scenes):
        print(
            f"nothing to do: all {len(record.scenes)} scenes of {record.run} have completed; "
            "--scenes names those to run all the same"
        )
        return
    if record.folder is not None:
        config = overridden(SceneConfig(), record.config, where=f"the config of run '{record.run}'")
        _run_scene(Path(record.folder), record.scenes[0], config, record.run, stage)
        return

    def completed(max_concurrent: int) -> bool:
        from flows.launch.local import resume_run

        return resume_run(
            record.run, scenes, stage, max_concurrent=max_concurrent, priority=priority
        )

    _run_dataset(record.run, max_concurrent, completed)


def scene(
    folder: tyro.conf.Positional[Path],
    config: Config = SceneConfig(),
    config_file: ConfigFile = None,
    train_on: TrainOnOption = (),
    store: StoreOption = None,
    name: str | None = None,
) -> None:
    """Reconstruct and score one folder of photographs or one video, in this process.

    Args:
        folder: Of the photos, or with a folder `images` of them; or a video file.
        name: Of the scene; the folder's or the video's if left out.
    """
    from storage.names import check_name
    from tasks.ingest.folder import is_video

    _use_store(store)
    name = name or (folder.stem if is_video(folder) else folder.resolve().name)
    check_name(name)
    if not folder.is_dir() and not is_video(folder):
        raise InputError(
            f"'{folder}' is no folder and no video; give a folder with the photos of one scene"
        )
    Settings().open_store().check_writable()
    if train_on:
        changes = {"split": {"kind": "train_on", "photos": train_on}}
        config = overridden(config, changes, where="the option --train-on")
    _run_scene(folder.absolute(), name, config)


def serve(
    datasets: tyro.conf.Positional[tuple[Path, ...]] = (),
    config: Config = SceneConfig(),
    config_file: ConfigFile = None,
    cron: str = "0 2 * * *",
    timezone: str = "UTC",
    store: StoreOption = None,
    max_concurrent: AtOnce = 0,
) -> None:
    """Keep Prefect's server, workers and schedules running on this machine until Ctrl-C.

    Args:
        datasets: Folders or manifests that are run at set times; what is cached is not done again.
        cron: When: minute, hour, day of the month, month and weekday.
        timezone: Of those times, such as Europe/Zurich.
    """
    _use_store(store)
    Settings().open_store().check_writable()
    from flows.launch.deployments import Scheduled
    from flows.launch.serve import serve as serve_until_told

    scheduled = tuple(
        Scheduled(dataset=dataset, config=config, cron=cron, timezone=timezone)
        for dataset in datasets
    )
    serve_until_told(scheduled, max_concurrent=max_concurrent)


def status(run: RunArgument = None, store: StoreOption = None) -> None:
    """Say how far the scenes of a run are."""
    from flows.report.terminal import print_status

    _use_store(store)
    print_status(Settings().open_store(), run)


def report(
    run: RunArgument = None,
    store: StoreOption = None,
    markdown: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """Show the table of a run.

    Args:
        markdown: Write it to this file instead, `-` for the standard output.
        pictures: Write held-out photos beside their renders to this image file.
    """
    from flows.report.table import markdown_report
    from flows.runs.record import load_run

    _use_store(store)
    opened = Settings().open_store()
    record = load_run(opened, run)
    if pictures is not None:
        from flows.report.pictures import contact_sheet

        with _written(pictures):
            contact_sheet(opened, record).save(pictures, quality=85)
    if markdown is None:
        _print_report(record.run)
    elif str(markdown) == "-":
        print(markdown_report(opened, record.run), end="")
    else:
        with _written(markdown):
            markdown.write_text(markdown_report(opened, record.run), encoding="utf-8")


def export(
    folder: tyro.conf.Positional[Path],
    run: RunOption = None,
    scenes: Scenes = (),
    format: Literal["colmap", "transforms", "ply", "spz"] = "colmap",
    background: bool = False,
    store: StoreOption = None,
) -> None:
    """Write scenes for other tools: cameras, points and photos, a folder each, or splats, a file.

    Args:
        folder: Where the scenes' folders or files go.
        format: COLMAP's model, nerfstudio's transforms.json, or the splat: PLY, or SPZ (smaller).
        backdrop: Splats with the sphere far behind the scene, which hides it from whoever stands
            outside.
    """
    from flows.commands.export import export_scenes

    _use_store(store)
    for written in export_scenes(
        Settings().open_store(), run, scenes, folder, format, background=background
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
    """Fly through the splats of a run: a video file a scene.

    Args:
        folder: Where the files go.
        path: Through the cameras, around what they look at, or in circles before it.
        max_size: Longest edge, px.
    """
    from flows.commands.film import film_scenes

    _use_store(store)
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
    """Train a refiner of views on pairs mined from every scene of datasets, in this process.

    Args:
        datasets: Folders with a sub-folder of photos for each scene, or manifests.
        out: File for the weights; what they saw and how they do is told beside it, in a `.md`.
        licence: Of the weights; both files tell it.
    """
    from flows.report.model_card import card_beside
    from flows.runs.refiner_scenes import scenes_of
    from tasks.runtime.atomic_file import check_file

    _use_store(store)
    names = tuple(str(dataset) for dataset in datasets)
    # What can be refused is refused before anything is started.
    card = card_beside(out)
    scenes_of(names, config, Settings().roots())
    check_file(out)
    Settings().open_store().check_writable()
    _train_refiner(names, str(out), config, licence)
    print(f"wrote {out} and {card}")


def gc(
    keep_runs: int | None = None,
    drop: tuple[str, ...] = (),
    delete: bool = False,
    older_than_minutes: float = 15.0,
    store: StoreOption = None,
) -> None:
    """List what no run in the store refers to, and remove it with --delete.

    Args:
        keep_runs: Give up all runs but so many of the last that have ended.
        drop: Give up these runs, by name.
        delete: Remove what is listed.
        older_than_minutes: Leave what was written since; scenes that go on may need it.
    """
    from datetime import timedelta

    from flows.commands.garbage import print_garbage
    from flows.commands.gc import find_garbage, remove_garbage
    from flows.runs.progress import is_going_on

    _use_store(store)
    opened = Settings().open_store()
    garbage = find_garbage(
        opened,
        drop=drop,
        keep_runs=keep_runs,
        is_going_on=is_going_on,
        age=timedelta(minutes=older_than_minutes),
    )
    print_garbage(garbage, listed=not delete)
    if delete:
        for gone in remove_garbage(opened, garbage):
            print(f"removed {gone}", flush=True)


def verify(run: str | None = None, store: StoreOption = None) -> None:
    """Read all that the store holds and check every sha256.

    Args:
        run: Take only what this run refers to, by name.
    """
    from flows.commands.verify import verify as verified
    from tasks.runtime.progress import progress_line

    _use_store(store)
    opened = Settings().open_store()
    count = 0
    for finding in verified(opened, run, progress_line("verify")):
        print(finding, flush=True)
        count += 1
    if count:
        sys.exit(f"unseen: {count} things in {opened.root} are damaged or missing, listed above")
    print("all is as it was written")


def demo(
    folder: tyro.conf.Positional[Path] = Path("unseen-demo"), max_concurrent: AtOnce = 0
) -> None:
    """Render three scenes and take them through everything, to a table.

    Args:
        folder: For the photos and the store; made if missing.
    """
    from flows.commands.demo import demo_config, render_demo
    from flows.runs.record import new_run_name

    _use_store(str(folder / "store"))
    Settings().open_store().check_writable()
    dataset = render_demo(folder)
    _run_new(dataset, new_run_name(Path("demo")), (), demo_config(), max_concurrent)


def random_scenes(
    folder: tyro.conf.Positional[Path],
    count: int = 10,
    first: int = 0,
    max_size: int = 480,
    effects: bool = True,
) -> None:
    """Render scenes drawn at random, as a dataset with exact cameras: to learn from, or to try on.

    Args:
        folder: Of the dataset; scenes that it has already are kept.
        count: Of the scenes.
        first: Seed of the first; the next one has the next.
        max_size: Longest edge of a photo, px.
        effects: Photos drift in exposure and colour, blur and have noise, as a camera's do.
    """
    from tasks.procedural.write_random import write_random_scenes
    from tasks.runtime.progress import progress_line

    show = progress_line("random scenes")
    seeds = range(first, first + count)
    done: dict[str, None] = {}

    def tell(scene: str, photos: int, of: int) -> None:
        done.setdefault(scene)
        share = (len(done) - 1 + photos / of) / count
        show(share, f"{scene}, {photos} of {of} photos")

    for written in write_random_scenes(
        folder, seeds, long_side=max_size, effects=effects, progress=tell
    ):
        print(f"wrote {written}")


def doctor(store: StoreOption = None) -> None:
    """Say what this installation has, and what is missing."""
    from flows.commands.doctor import examine

    _use_store(store)
    if not examine(Settings()):
        sys.exit(1)


def warm_up() -> None:
    """Compile the CPU kernels, once for this environment."""
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


def main() -> None:
    configure_prefect()
    try:
        parse(COMMANDS, sys.argv[1:])()
    except UnseenError as error:
        sys.exit(f"unseen: {error}")
    except BrokenPipeError:  # the reader of our output, such as 'head', has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(
            "unseen: interrupted; what was finished is kept, 'unseen resume' goes on from there"
        )


def _print_estimate(entries: "Sequence[SceneEntry]", max_concurrent: int) -> None:
    """Before a run, so that it can be thought better of."""
    from flows.commands.estimate import SECONDS_ON_TWO_CORES, estimate, rates_of, told

    settings = Settings()
    machine, store = settings.machine(), settings.open_store()
    fallback = SECONDS_ON_TWO_CORES if machine.device == "cpu" else None
    _, joint = shared_cores(settings.threads, max_concurrent)
    found = estimate(entries, rates_of(store), max_concurrent=joint, fallback=fallback)
    room = shutil.disk_usage(store.local).free if store.local is not None else None
    print("\n".join(told(found, room)), flush=True)


def _check_priority(priority: int | None) -> None:
    if priority is not None and priority < 1:
        raise InputError(
            f"a run cannot have the priority {priority}: 1 goes first, then 2; give one of these"
        )


def _run_new(
    dataset: Path,
    run: str,
    scenes: tuple[str, ...],
    config: SceneConfig,
    max_concurrent: int,
    priority: int | None = None,
) -> None:
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

    _run_dataset(run, max_concurrent, completed)


def _run_dataset(run: str, max_concurrent: int, completed: Callable[[int], bool]) -> None:
    """Find or start an API, run scenes, and report.

    Args:
        completed: runs so many scenes at a time; whether all of the run have completed.
    """
    from flows.orchestration.server import find_or_start_api, use_api

    threads, max_concurrent = shared_cores(Settings().threads, max_concurrent)
    os.environ["UNSEEN_THREADS"] = str(threads)
    api = find_or_start_api()
    use_api(api)
    stays = " (started now; it stays, 'prefect server stop' ends it)" if api.started else ""
    print(f"run {run}\nPrefect UI: {api.ui}{stays}", flush=True)
    all_have = completed(max_concurrent)
    _print_report(run)
    if not all_have:
        sys.exit(1)


def _run_scene(
    folder: Path,
    name: str,
    config: SceneConfig,
    run: str | None = None,
    recompute_from: Stage | None = None,
) -> None:
    from flows.orchestration.server import find_api, use_api

    if api := find_api():
        use_api(api)
    from flows.launch.alone import run_scene

    _print_report(run_scene(folder, name, config, run, recompute_from))


def _train_refiner(
    datasets: tuple[str, ...], out: str, config: RefinerConfig, licence: str
) -> None:
    from flows.orchestration.server import find_api, use_api

    if api := find_api():
        use_api(api)
    from flows.orchestration.log_filters import hide_described_errors
    from flows.train_refiner import train_refiner as train

    hide_described_errors()
    train(datasets, out, config=config, licence=licence)


def _print_report(run: str) -> None:
    from flows.report.terminal import print_report

    print_report(Settings().open_store(), run)


@contextlib.contextmanager
def _written(file: Path) -> Iterator[None]:
    """Say that the block has written a file, or why it could not."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a kind of image that there is not
        raise InputError(f"'{file}' could not be written ({error}); give another") from error
    print(f"wrote {file}")


def _use_store(store: str | None) -> None:
    """The option wins over the environment, and workers see the same."""
    if store is not None:
        os.environ["UNSEEN_STORE"] = store
    os.environ["UNSEEN_STORE"] = Settings().open_store().root
