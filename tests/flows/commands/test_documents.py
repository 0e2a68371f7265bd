"""Each command, option, file and snippet in README, CONTRIBUTING and docs does what it says there.

Commands in console blocks, and those in prose, are run in their order on a small dataset. What
cannot be run there stands in ``NOT_RUN``, with the reason.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from flows.cli import COMMANDS
from flows.commands.parse import parse
from flows.config import RefinerConfig, SceneConfig, read_config
from flows.runs.manifest import find_scenes
from flows.settings import Settings
from storage.metrics import read_table
from storage.store import Store
from storage.tables import COLUMNS
from tasks.config import with_file
from tasks.procedural.scenes import facade
from tasks.procedural.write import write_scene
from tasks.splat.config import EveryNth, Mcmc, TrainOn
from tests.flows.conftest import Command
from tests.support.documents import DOCUMENTS, ROOT, blocks, prose

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
README = TEXTS["README.md"]
NOT_RUN = {
    "unseen serve": "ends when it is interrupted: tests/flows/launch/test_serve.py",
    "unseen train-refiner": "trains for minutes: tests/flows/test_train_refiner.py",
    "unseen demo": "renders for minutes: tests/flows/commands/test_demo.py",
    "unseen warm-up": "compiles every kernel; `make test` begins with it",
    "make": "builds environments and runs this test: its targets are tried dry",
    "export PREFECT_": "needs a server: tests/flows/orchestration/test_server.py",
    "prefect": "needs a server: tests/flows/launch/test_deployments.py",
    "python -m pytest": "runs this test: its paths and markers are checked",
    "python benchmarks": "takes up to hours: tests/test_benchmarks.py starts each",
    "python deployments": "needs a browser or Postgres: tests/flows/launch/test_two_workers.py",
    "pip install --no-deps": "`make install` does so",
    "py-spy": "a program of others that is not installed here",
    "kernprof": "a program of others that is not installed here",
}

NEED_ARGUMENTS = {"run", "scene", "export", "film", "random-scenes"}
"""Alone they are names of commands in prose, such as `unseen run`."""


def console_commands(text: str) -> list[list[str]]:
    lines = [line for block in blocks(text, "console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [shlex.split(line[2:], comments=True) for line in lines]


def commands_in_prose(text: str, program: str) -> list[list[str]]:
    """Inline code that begins with the program's name."""
    found = re.findall(rf"`({program} [^`]*)`", prose(text))
    return [shlex.split(command) for command in found]


def all_commands(program: str) -> Iterator[list[str]]:
    """Of every document: those of its console blocks, then those in its prose."""
    for text in TEXTS.values():
        yield from (command for command in console_commands(text) if command[0] == program)
        yield from commands_in_prose(text, program)


def reason_not_to_run(command: list[str]) -> str | None:
    line = " ".join(command)
    return next((why for start, why in NOT_RUN.items() if line.startswith(start)), None)


def test_every_console_command_is_run_or_named() -> None:
    commands = [command for text in TEXTS.values() for command in console_commands(text)]
    assert len(commands) > 20
    unknown = [
        command for command in commands if command[0] != "unseen" and not reason_not_to_run(command)
    ]
    assert unknown == []
    in_all = (
        command for program in ("unseen", "make", "python") for command in all_commands(program)
    )
    lines = [" ".join(command) for command in [*commands, *in_all]]
    unused = [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)]
    assert unused == []
    assert not any(blocks(text, shell) for text in TEXTS.values() for shell in ("bash", "sh"))


def test_every_make_target_exists() -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    targets = [command[1:] for command in all_commands("make")]
    assert ["demo"] in targets
    assert ["test"] in targets
    for target in {tuple(target) for target in targets}:
        dry = ["make", "--dry-run", "--always-make", *target]
        ended = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip()


def test_every_script_and_test_that_is_named_exists_and_has_its_options() -> None:
    commands = list(all_commands("python"))
    assert commands
    for command in commands:
        paths = [
            word.split("::")[0] for word in command if re.search(r"\.py$|\.py::|^tests/", word)
        ]
        assert all((ROOT / path).exists() for path in paths), command
        if command[1] == "-m":
            continue
        source = (ROOT / command[1]).read_text(encoding="utf-8")
        options = [word for word in command if word.startswith("--")]
        assert all(f'"{option}"' in source for option in options), command


@pytest.mark.slow
def test_the_commands_in_their_order_on_a_small_dataset(unseen: Command, tmp_path: Path) -> None:
    # Of a size at which the default config, which the README's commands have, takes a minute.
    small = facade().excerpt("attic", range(8, 14), (160, 120))
    write_scene(small, tmp_path / "photos" / "attic", lambda *_: None)
    commands = [
        command[1:]
        for command in all_commands("unseen")
        if not reason_not_to_run(command) and (len(command) > 2 or command[1] not in NEED_ARGUMENTS)
    ]
    ran = set()
    for command in [*commands, ["--help"], ["report"]]:
        if tuple(command) in ran:
            continue
        ran.add(tuple(command))
        said = unseen(*command, cwd=tmp_path)
        assert said.returncode == 0, (command, said.stdout, said.stderr)
    not_run = {start.split(" ")[1] for start in NOT_RUN if start.startswith("unseen ")}
    assert {one[0] for one in ran} == {*COMMANDS, "--help"} - not_run

    store = Store(root=str(tmp_path / "unseen-store"))
    rows = read_table(store, "scenes")
    assert set(rows["state"]) == {"completed"}
    # Computed; recalled, twice; and then once from the stage refine on.
    assert sorted(rows["stages_cached"]) == [0, 7, 11]
    assert "| attic | completed |" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert_what_comes_out(tmp_path, len(rows))


def assert_what_comes_out(root: Path, runs: int) -> None:
    """The README's table of the store's folders, and the snippets that read it."""
    documented = re.findall(r"^\| `([^|]*)` \|", README, re.MULTILINE)
    store = root / "unseen-store"
    kinds = ("photos", "sparse", "splat", "views", "refined", "control", "distilled", "evaluation")
    for kind, count in {**dict.fromkeys(kinds, 1), "ensemble": 3}.items():
        assert len(list((store / "scenes" / "attic" / kind).glob("*.zarr"))) == count
        assert f"`{kind}`" in README
    assert any("scenes/<scene>/<kind>/<digest>.zarr" in place for place in documented)
    tables = {path.name for path in (store / "metrics").iterdir()}
    assert tables == set(COLUMNS)
    assert all(f"`{table}`" in README for table in tables)
    folders = {path.name for path in store.iterdir() if path.is_dir()}
    layout = TEXTS["docs/data-layout.md"]
    assert all(f"`{folder}/" in layout for folder in folders)
    for text in (README, layout):
        for snippet in blocks(text, "python"):
            program = [sys.executable, "-c", snippet]
            ended = subprocess.run(
                program,
                cwd=root,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
    for query in re.findall(r"SELECT \* FROM '[^']*'", README):
        path = query.replace("'unseen-store", f"'{store}")
        assert len(duckdb.sql(path).fetchall()) == runs


def test_the_options_in_prose_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            parse(COMMANDS, [command, "--help-all"])
    # Tables of scripts' commands are checked with the scripts.
    named = "".join(prose(text) for name, text in TEXTS.items() if name != "docs/results.md")
    options = set(re.findall(r"`(--[a-z.-]+)", named))
    assert options
    help_text = capsys.readouterr().out
    assert [option for option in options if option not in help_text] == []


def test_every_command_that_is_not_run_is_understood(tmp_path: Path) -> None:
    """By the parser."""
    (train,) = [block for block in blocks(TEXTS["docs/commands.md"], "yaml") if "train:" in block]
    (tmp_path / "train.yaml").write_text(train)
    parsed = [
        command[1:]
        for command in all_commands("unseen")
        if reason_not_to_run(command) and len(command) > 2
    ]
    assert ["serve", "photos", "--cron", "0 2 * * *"] in parsed
    for words in parsed:
        placed = [str(tmp_path / word) if word == "train.yaml" else word for word in words]
        assert callable(parse(COMMANDS, placed))


def test_the_variables_that_are_named_are_variables() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"UNSEEN_([A-Z_]+)", text)}
    assert named
    assert named <= {field.upper() for field in Settings.model_fields}


def test_the_config_files_set_what_their_comments_say(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    config, _ = blocks(README, "yaml")
    file.write_text(config)
    found = read_config(file)
    assert found.split == EveryNth(n=8, offset=0)
    assert (found.splat.iterations, found.splat.max_size) == (4000, 960)
    recipes, train = blocks(TEXTS["docs/commands.md"], "yaml")
    file.write_text(recipes)
    found = read_config(file)
    assert isinstance(found.splat.densify, Mcmc)
    assert not found.splat.background
    assert found.refine.joint is not None
    file.write_text(train)
    assert with_file(RefinerConfig(), file).validation.share == 0.1
    others = {name for name in TEXTS if blocks(TEXTS[name], "yaml")} - {
        "README.md",
        "docs/commands.md",
    }
    assert others == set()


def test_every_config_in_prose_is_valid(tmp_path: Path) -> None:
    """Inline code such as `splat: {clearance: null}`."""
    sections = "|".join(SceneConfig.model_fields)
    config_code = re.compile(rf"`((?:{sections}): {{[^`]*}})`")
    # Those of the architecture are of its examples' options.
    texts = [text for name, text in TEXTS.items() if name != "docs/architecture.md"]
    found = {config for text in texts for config in config_code.findall(text)}
    assert len(found) > 3
    for config in found:
        (tmp_path / "prose.yaml").write_text(config)
        assert yaml.safe_load(config)
        assert read_config(tmp_path / "prose.yaml") != SceneConfig()


def test_the_manifest_lists_its_scenes(tmp_path: Path) -> None:
    _, manifest = blocks(README, "yaml")
    (tmp_path / "dataset.yaml").write_text(manifest)
    attic, front = find_scenes(tmp_path, SceneConfig())
    assert (attic.name, attic.error) == ("attic", None)
    assert (front.name, front.error) == ("front", None)
    assert front.folder == str(tmp_path / "house" / "2024")
    assert front.config.split == TrainOn(photos=("a.jpg", "b.jpg", "c.jpg"))


def test_every_file_that_is_linked_is_there() -> None:
    missing = [
        (name, link)
        for name, text in TEXTS.items()
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(text))
        if "://" not in link and not os.path.lexists((ROOT / name).parent / link)
    ]
    assert missing == []


def test_the_readme_fits_two_screens() -> None:
    assert len(README.splitlines()) <= 120
