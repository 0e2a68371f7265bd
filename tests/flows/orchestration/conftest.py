"""A home of Prefect's for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_API_PORT,
    temporary_settings,
)

from tests.support.commands import free_port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of Prefect's with nothing in it, and a usual port on which nobody listens."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # set by what is tested
    changes = {PREFECT_HOME: tmp_path, PREFECT_SERVER_API_PORT: free_port()}
    with temporary_settings(changes, restore_defaults={PREFECT_API_URL}):
        yield tmp_path
