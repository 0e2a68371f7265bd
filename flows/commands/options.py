"""Types of the options that several commands share, with their help."""

from pathlib import Path
from typing import Annotated

import tyro

from flows.config import RefinerConfig, SceneConfig

Config = Annotated[SceneConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
RefinerOptions = Annotated[RefinerConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
StoreOption = Annotated[
    str | None,
    tyro.conf.arg(help="Store of results: a directory or an fsspec URL (UNSEEN_STORE)."),
]
RunOption = Annotated[str | None, tyro.conf.arg(help="Name of a run; default: the last one.")]
RunArgument = Annotated[RunOption, tyro.conf.Positional]
ConfigFile = Annotated[
    Path | None,
    tyro.conf.arg(
        name="config",
        help="YAML file with options; those on the command line win. --help-all lists them all.",
    ),
]
Scenes = Annotated[tuple[str, ...], tyro.conf.arg(help="Names of the scenes; default: all.")]
MaxConcurrent = Annotated[
    int,
    tyro.conf.arg(help="Number of scenes at a time on this machine's CPUs; 0: one per 4 cores."),
]
Priority = Annotated[
    int | None, tyro.conf.arg(help="Queue priority; 1 is highest. Default: after all others.")
]
TrainOnOption = Annotated[
    tuple[str, ...],
    tyro.conf.arg(help="File names of the training photos; all other photos are held out."),
]
