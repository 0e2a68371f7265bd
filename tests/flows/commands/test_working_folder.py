"""A command started in a dataset's folder: what lies there changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands.working_folder import check_working_folder
from tasks.errors import InputError
from tests.conftest import ROOT

STEERING = {
    ".env": "PREFECT_API_URL=http://evil/api\n",
    "prefect.toml": "[api]\nurl = 'http://evil/api'\n",
    "pyproject.toml": "[tool.prefect.logging]\nconfig_path = 'logs.yml'\n",
    ".numba_config.yaml": "cache_dir: here\n",
}


@pytest.mark.parametrize("name", STEERING)
def test_settings_of_prefect_and_numba_in_the_working_folder_are_refused(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(STEERING[name])
    with pytest.raises(InputError, match=f"'{name}' in the working folder"):
        check_working_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pyproject.toml", "[project]\ndependencies = ['prefect']\n"),
        (".env", "AWS_REGION=x\n"),
        ("prefect.yaml", "deployments: []\n"),
    ],
)
def test_other_files_are_of_no_matter(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    check_working_folder(tmp_path)


@pytest.mark.parametrize("content", ["x = ", "tool.prefect = 1\nx = "])
def test_a_file_that_cannot_be_parsed_counts_by_the_word(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    if "prefect" not in content:
        check_working_folder(tmp_path)
        return
    with pytest.raises(InputError):
        check_working_folder(tmp_path)


def started_in(folder: Path, code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Python as an installed command runs it: the working folder is not on its path."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_ends_before_it_reads_such_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(STEERING[".env"])
    code = "import sys; sys.argv = ['unseen', 'status']; from flows.cli import main; main()"
    ended = started_in(tmp_path, code)
    assert ended.returncode == 1
    assert ended.stderr.startswith("unseen: '.env' in the working folder")
    assert not (tmp_path / ".prefect").exists()


def test_a_module_in_the_working_folder_is_not_run_by_processes_that_we_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "this.py").write_text("raise SystemExit('was run')")
    child = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', 'this']))"
    assert "was run" in started_in(tmp_path, child).stderr  # what Python does by itself
    settled = f"from flows.settings import configure_prefect; configure_prefect(); {child}"
    ended = started_in(tmp_path, settled)
    assert ended.returncode == 0, ended.stderr
    assert "Beautiful is better than ugly" in ended.stdout


def test_an_error_cannot_steer_the_terminal(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['unseen', 'scene', 'a\\x1b]0;evil\\x07']; "
        "from flows.cli import main; main()"
    )
    ended = started_in(tmp_path, code, UNSEEN_STORE=str(tmp_path / "store"))
    assert ended.returncode == 1
    assert "\x1b" not in ended.stderr
    assert "\\x1b]0;evil\\x07" in ended.stderr
