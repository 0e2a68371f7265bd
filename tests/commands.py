"""Running other programs in tests."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def output_of(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command that must succeed prints, errors included."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
