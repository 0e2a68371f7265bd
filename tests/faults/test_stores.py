"""Unusable stores, and stores damaged between runs: reported before any work."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.commands.verify import verify
from storage.files import get, put
from storage.schema import prepare_store
from storage.store import NamedArray, Store
from tasks.runtime.progress import no_progress
from tests.conftest import ROOT
from tests.support.stored_runs import ended

VALUES = np.arange(1000.0)


def unseen(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that must end before it needs a server."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *words],
        env=plain | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("place", ["under a file", "/proc/unseen-store"])
def test_a_read_only_store_is_refused_before_a_server_starts(tmp_path: Path, place: str) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "a.jpg").touch()
    (tmp_path / "file").touch()
    store = str(tmp_path / "file" / "store") if place == "under a file" else place
    said = unseen(tmp_path / "home", "run", str(tmp_path / "photos"), "--store", store)
    assert said.returncode == 1
    assert f"unseen: the store {store} cannot be written" in said.stderr
    assert "UNSEEN_STORE" in said.stderr
    assert not (tmp_path / "home").exists()


def test_a_run_with_a_damaged_record_is_not_resumed_and_others_are_unaffected(
    tmp_path: Path,
) -> None:
    store = Store(root=str(tmp_path / "store"))
    prepare_store(store)
    ended(store, "good", {"a": 1.0}, day=1)
    ended(store, "bad", {"b": 2.0}, state="failed", day=2)
    content = get(store, "runs/bad.json").replace(b'"iterations": 4000', b'"iterations": 4001')
    put(store, "runs/bad.json", content)
    said = unseen(tmp_path / "home", "resume", "bad", "--store", store.root)
    assert said.returncode == 1
    assert "runs/bad.json" in said.stderr
    assert "its sha256 is not the one in it" in said.stderr
    assert not (tmp_path / "home").exists()
    assert list(verify(store, "good", no_progress)) == []
    (found,) = verify(store, None, no_progress)
    assert "runs/bad.json" in found.message


def test_an_interrupted_upload_is_named_and_repaired_by_the_next_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    store = Store(root=f"memory://{tmp_path}/store")
    values = [NamedArray(name=name, values=VALUES, dims=(name,)) for name in ("x", "y")]
    whole = Store(root=str(tmp_path / "whole")).commit("hall", "splat", values, {})
    memory = type(fsspec.filesystem("memory"))
    put_file, sent = memory.put_file, 0

    def cut_off(*arguments: object, **options: object) -> object:
        nonlocal sent
        sent += 1
        if sent == 3:
            raise SystemExit("the machine is switched off")
        return put_file(*arguments, **options)

    monkeypatch.setattr(memory, "put_file", cut_off)
    with pytest.raises(SystemExit):
        store.commit("hall", "splat", values, {})
    monkeypatch.undo()

    (found,) = verify(store, None, no_progress)
    assert (found.scene, found.kind) == ("hall", "splat")
    assert "its writing was interrupted or is in progress" in found.message
    again = store.commit("hall", "splat", values, {})
    assert again.digest == whole.digest
    assert list(verify(store, None, no_progress)) == []
