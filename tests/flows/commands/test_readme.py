"""The README: every command, file and snippet works as described."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import COMMANDS
from flows.commands.parse import parse
from flows.config import SceneConfig, read_config
from flows.runs.manifest import find_scenes
from flows.settings import Settings
from storage.metrics import COLUMNS, read_table
from storage.store import Store
from tasks.procedural.scenes import facade
from tasks.procedural.write import write_scene
from tasks.splat.config import EveryNth, TrainOn
from tests.flows.conftest import Command

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def console_commands() -> list[list[str]]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [shlex.split(line[2:], comments=True) for line in lines]


def words_in_prose(program: str) -> list[list[str]]:
    """What stands between backticks and begins with the program's name."""
    found = re.findall(rf"`({program} [^`]*)`", PROSE)
    return [shlex.split(command) for command in found]


def test_every_console_command_is_run_by_a_test() -> None:
    programs = {command[0] for command in console_commands()}
    assert programs == {"make", "unseen"}
    assert blocks("bash") == blocks("sh") == blocks("shell") == []


def test_every_make_target_exists() -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    targets = [command[1:] for command in console_commands() if command[0] == "make"]
    targets += [command[1:] for command in words_in_prose("make")]
    assert ["demo"] in targets
    assert ["test"] in targets
    for target in targets:
        dry = ["make", "--dry-run", "--always-make", *target]
        ended = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip()


@pytest.mark.slow
def test_the_commands_run_in_their_order_on_a_small_dataset(
    unseen: Command, tmp_path: Path
) -> None:
    # Of a size at which the default config, which the README's commands have, takes a minute.
    small = facade().excerpt("attic", range(8, 14), (96, 72))
    write_scene(small, tmp_path / "photos" / "attic", lambda *_: None)
    commands = [command[1:] for command in console_commands() if command[0] == "unseen"]
    # 'unseen run' is the name of a command there, and 'unseen serve' ends when it is told to, so it
    # has tests of its own; all other words can be run as they are.
    in_prose = [words[1:] for words in words_in_prose("unseen")]
    commands += [words for words in in_prose if words != ["run"] and words[0] != "serve"]
    commands += [["--help"], ["report"]]
    ran = set()
    for command in commands:
        if tuple(command) in ran:
            continue
        ran.add(tuple(command))
        said = unseen(*command, cwd=tmp_path)
        assert said.returncode == 0, (command, said.stdout, said.stderr)
    known = {"run", "status", "resume", "report", "scene", "export", "film", "doctor"} | {
        "verify",
        "gc",
    }
    assert known <= {one[0] for one in ran}

    store = Store(root=str(tmp_path / "unseen-store"))
    rows = read_table(store, "scenes").set_index("run")
    assert rows["state"].tolist() == ["completed", "completed"]
    assert sorted(rows["stages_cached"]) == [0, 11]  # the second run computed nothing
    assert "| attic | completed |" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert_what_comes_out(tmp_path)


def assert_what_comes_out(root: Path) -> None:
    """The table of the store's folders, and the snippet that reads it."""
    documented = re.findall(r"^\| `([^|]*)` \|", README, re.MULTILINE)
    store = root / "unseen-store"
    kinds = ("photos", "sparse", "splat", "views", "refined", "control", "distilled", "evaluation")
    for kind, count in {**dict.fromkeys(kinds, 1), "ensemble": 3}.items():
        assert len(list((store / "scenes" / "attic" / kind).glob("*.zarr"))) == count
        assert f"`{kind}`" in README or kind == "photos"
    assert any("scenes/<scene>/<kind>/<digest>.zarr" in place for place in documented)
    tables = {path.name for path in (store / "metrics").iterdir()}
    assert tables == set(COLUMNS)
    assert all(f"`{table}`" in README for table in tables)
    assert list((store / "runs").glob("*.json"))
    assert (store / "cache").is_dir()
    for snippet in blocks("python"):
        ended = subprocess.run(
            [sys.executable, "-c", snippet], cwd=root, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
    for query in re.findall(r"SELECT \* FROM '[^']*'", README):
        import duckdb

        path = query.replace("'unseen-store", f"'{store}")
        assert len(duckdb.sql(path).fetchall()) == 2


def test_options_named_in_prose_exist(unseen: Command) -> None:
    commands = ("run", "gc", "export")
    help_text = "".join(unseen(command, "--help").stdout for command in commands)
    options = set(re.findall(r"`(--[a-z.-]+)", PROSE))
    assert options
    assert all(option in help_text for option in options)


def test_every_serve_command_is_parsed() -> None:
    """By the parser; what ``unseen serve`` does is tested where it is told to end."""
    served = [words[1:] for words in words_in_prose("unseen") if words[1] == "serve"]
    assert ["serve", "photos", "--cron", "0 2 * * *"] in served
    assert all(callable(parse(COMMANDS, words)) for words in served)


def test_variables_named_in_prose_exist() -> None:
    named = set(re.findall(r"UNSEEN_([A-Z_]+)", README))
    assert named
    assert named <= {field.upper() for field in Settings.model_fields}


def test_the_config_file_sets_the_values_of_its_comments(tmp_path: Path) -> None:
    config, _ = blocks("yaml")
    (tmp_path / "run.yaml").write_text(config)
    found = read_config(tmp_path / "run.yaml")
    assert found.split == EveryNth(n=8, offset=0)
    assert (found.splat.iterations, found.splat.max_size) == (4000, 960)


def test_the_manifest_lists_its_scenes(tmp_path: Path) -> None:
    _, manifest = blocks("yaml")
    (tmp_path / "dataset.yaml").write_text(manifest)
    attic, front = find_scenes(tmp_path, SceneConfig())
    assert (attic.name, attic.error) == ("attic", None)
    assert (front.name, front.error) == ("front", None)
    assert front.folder == str(tmp_path / "house" / "2024")
    assert front.config.split == TrainOn(photos=("a.jpg", "b.jpg", "c.jpg"))


def test_every_named_file_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    places = [link for link in links if "://" not in link]
    places += [line.split("/")[0] for line in blocks("")[0].splitlines() if line[:1].isalpha()]
    missing = [place for place in places if not os.path.lexists(ROOT / place)]
    assert missing == []
