"""Refusal of settings in the folder that a command is started in.

Prefect and numba read settings from files in that folder, which may be a dataset's: such a file
could name another server, send it what we know, or have code run by naming a configuration of logs
or a folder of compiled kernels.
"""

import tomllib
from pathlib import Path

from tasks.errors import InputError


def check_working_folder(folder: Path) -> None:
    """Called before Prefect or numba is imported.

    Raises:
        InputError: a file in the folder sets options of Prefect or numba.
    """
    steering = [name for name, steers in _FILES.items() if steers(folder / name)]
    if steering:
        raise InputError(
            f"'{steering[0]}' in the working folder '{folder}' sets options of Prefect or numba, "
            "by which whoever filled that folder could name a server or have code run; start the "
            "command in another folder, or set variables of the environment (PREFECT_..., "
            "NUMBA_...) or a profile of Prefect in its place"
        )


def _there(file: Path) -> bool:
    return file.exists()


def _names_prefect(file: Path) -> bool:
    return file.exists() and "prefect" in _text(file).lower()


def _has_table_of_prefect(file: Path) -> bool:
    if not file.exists():
        return False
    text = _text(file)
    try:
        return "prefect" in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:  # other parsers may read more of it
        return "prefect" in text


def _text(file: Path) -> str:
    """The content; the word sought where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else "prefect"
    except OSError:
        return "prefect"


_FILES = {
    ".env": _names_prefect,
    "prefect.toml": _there,
    "pyproject.toml": _has_table_of_prefect,
    ".numba_config.yaml": _there,
}
