"""Running other programs in tests."""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEPLOYMENTS = Path(__file__).parents[1] / "deployments"


def script(name: str) -> Any:
    """A script among the deployments, as a module."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, DEPLOYMENTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look for their module there
        spec.loader.exec_module(module)
    return sys.modules[name]


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
