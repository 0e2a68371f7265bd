"""The command ``unseen``: each sub-command is a function, its options are its parameters."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from flows.config import SceneConfig, read_config
from flows.settings import Settings, quiet_prefect, shared_cores
from storage.errors import UnseenError
from tasks.errors import InputError
from tasks.splat.config import TrainOn

Config = Annotated[SceneConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
StoreOption = Annotated[
    str | None, tyro.conf.arg(help="Where results go: a directory or an fsspec URL (UNSEEN_STORE).")
]
RunArgument = Annotated[
    str | None, tyro.conf.Positional, tyro.conf.arg(help="Name of a run; the last one if left out.")
]
TrainOnOption = Annotated[
    tuple[str, ...], tyro.conf.arg(help="Fit to these photos, by file name, and hold out the rest.")
]


def run(
    dataset: tyro.conf.Positional[Path],
    config: Config = SceneConfig(),
    scenes: tuple[str, ...] = (),
    store: StoreOption = None,
    name: str | None = None,
    at_once: int = 0,
) -> None:
    """Reconstruct and score every scene of a dataset, each in a process of its own.

    Args:
        dataset: a folder with a sub-folder of photos for each scene, or a YAML or CSV manifest.
        config: what changes results; see also --config FILE.
        scenes: take only these.
        name: of the run; made from the dataset and the time if left out.
        at_once: scenes at a time on this machine's CPUs; 0 for one for each four cores.
    """
    from flows.manifest import find_scenes
    from flows.runs import new_run_name

    _use_store(store)
    # What can be refused is refused before a server or a worker is started.
    Settings().open_store().check_writable()
    find_scenes(dataset, config, scenes)
    _run_dataset(dataset, name or new_run_name(dataset), scenes, config, at_once, resume=False)


def resume(run: RunArgument = None, store: StoreOption = None, at_once: int = 0) -> None:
    """Run again what failed, died or is missing in a run, from its last finished stage.

    Args:
        at_once: scenes at a time on this machine's CPUs; 0 for one for each four cores.
    """
    from flows.config import overridden
    from flows.runs import load_run, unfinished_scenes

    _use_store(store)
    opened = Settings().open_store()
    opened.check_writable()
    record = load_run(opened, run)
    if not unfinished_scenes(opened, record):
        print(f"all {len(record.scenes)} scenes of {record.run} have completed")
        return
    config = overridden(SceneConfig(), record.config, where=f"run {record.run}")
    _run_dataset(Path(record.dataset), record.run, record.only, config, at_once, resume=True)


def scene(
    folder: tyro.conf.Positional[Path],
    config: Config = SceneConfig(),
    train_on: TrainOnOption = (),
    store: StoreOption = None,
    name: str | None = None,
) -> None:
    """Reconstruct and score one folder of photographs, in this process.

    Args:
        folder: of the photos, or with an `images` folder of them.
        config: what changes results; see also --config FILE.
        name: of the scene; the folder's if left out.
    """
    from flows.server import find_api, use_api
    from storage.names import check_name

    _use_store(store)
    name = name or folder.absolute().name
    check_name(name)
    opened = Settings().open_store()
    opened.check_writable()
    if train_on:
        config = config.model_copy(update={"split": TrainOn(photos=train_on)})
    if api := find_api():
        use_api(api)
    from flows.alone import run_scene

    run = run_scene(folder.absolute(), name, config)
    _print_report(run)


def status(run: RunArgument = None, store: StoreOption = None) -> None:
    """Say how far the scenes of a run are."""
    from flows.report.terminal import print_status

    _use_store(store)
    print_status(Settings().open_store(), run)


def report(
    run: RunArgument = None, store: StoreOption = None, markdown: Path | None = None
) -> None:
    """Show the table of a run.

    Args:
        markdown: also write it to this file, `-` for the standard output alone.
    """
    from flows.report.table import markdown_report
    from flows.runs import load_run

    _use_store(store)
    opened = Settings().open_store()
    record = load_run(opened, run)
    if markdown is None:
        _print_report(record.run)
    elif str(markdown) == "-":
        print(markdown_report(opened, record.run), end="")
    else:
        markdown.write_text(markdown_report(opened, record.run))
        print(f"wrote {markdown}")


def demo(folder: tyro.conf.Positional[Path] = Path("unseen-demo"), at_once: int = 0) -> None:
    """Render three scenes and take them through everything, to a table.

    Args:
        folder: for the photos and the store; made if missing.
        at_once: scenes at a time on this machine's CPUs; 0 for one for each four cores.
    """
    from flows.demo import demo_config, render_demo
    from flows.runs import new_run_name

    dataset = render_demo(folder)
    _use_store(str(folder / "store"))
    _run_dataset(dataset, new_run_name(Path("demo")), (), demo_config(), at_once, resume=False)


def doctor(store: StoreOption = None) -> None:
    """Say what this installation has, and what is missing."""
    from flows.doctor import examine

    _use_store(store)
    if not examine(Settings()):
        sys.exit(1)


def warm_up() -> None:
    """Compile the CPU kernels, once for this environment."""
    from flows.doctor import compile_kernels

    compile_kernels()


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "run": run,
    "scene": scene,
    "resume": resume,
    "status": status,
    "report": report,
    "doctor": doctor,
    "warm-up": warm_up,
}


def main() -> None:
    quiet_prefect()
    try:
        arguments, base = _with_config_file(sys.argv[1:])
        tyro.extras.subcommand_cli_from_dict(
            _with_default_config(base), prog="unseen", args=arguments, description=__doc__
        )
    except UnseenError as error:
        sys.exit(f"unseen: {error}")
    except KeyboardInterrupt:
        sys.exit(
            "unseen: interrupted; what was finished is kept, 'unseen resume' goes on from there"
        )


def _run_dataset(
    dataset: Path,
    run: str,
    scenes: tuple[str, ...],
    config: SceneConfig,
    at_once: int,
    *,
    resume: bool,
) -> None:
    from flows.server import find_or_start_api, use_api

    threads, at_once = shared_cores(Settings().threads, at_once)
    os.environ["UNSEEN_THREADS"] = str(threads)
    api = find_or_start_api()
    use_api(api)
    stays = " (started now; it stays, 'prefect server stop' ends it)" if api.started else ""
    print(f"run {run}\nPrefect UI: {api.ui}{stays}", flush=True)
    from flows.local import run_dataset

    completed = run_dataset(dataset.absolute(), run, scenes, config, at_once=at_once, resume=resume)
    _print_report(run)
    if not completed:
        sys.exit(1)


def _print_report(run: str) -> None:
    from flows.report.terminal import print_report

    print_report(Settings().open_store(), run)


def _use_store(store: str | None) -> None:
    """The option wins over the environment, and workers see the same."""
    if store is not None:
        os.environ["UNSEEN_STORE"] = store
    os.environ["UNSEEN_STORE"] = Settings().open_store().root


def _with_config_file(arguments: Sequence[str]) -> tuple[list[str], SceneConfig]:
    """Take ``--config FILE`` out of the arguments: the file gives what the options then change."""
    kept = list(arguments)
    for index, argument in enumerate(kept):
        if argument == "--config" or argument.startswith("--config="):
            taken = 1 if "=" in argument else 2
            if index + taken > len(kept):
                raise InputError(
                    "--config is the last word of the command; name a YAML file after it"
                )
            file = argument.split("=", 1)[1] if taken == 1 else kept[index + 1]
            del kept[index : index + taken]
            return kept, read_config(Path(file))
    return kept, SceneConfig()


def _with_default_config(base: SceneConfig) -> dict[str, Callable[..., Any]]:
    """The commands with the defaults of their ``config`` taken from ``base``."""
    if base == SceneConfig():
        return dict(COMMANDS)
    for command in (run, scene):
        defaults = tuple(
            base if isinstance(value, SceneConfig) else value
            for value in command.__defaults__ or ()
        )
        command.__defaults__ = defaults
    return dict(COMMANDS)
