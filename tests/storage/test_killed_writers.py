"""Writers that are killed or fill the disk leave no committed artefact."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from storage import files
from storage.errors import StoreError
from storage.staging import find_abandoned, locked_folder
from storage.store import NamedArray, Store, remove_abandoned_staging
from tests.support.every_instant import at_every_instant

REPOSITORY = Path(__file__).parents[2]

WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from storage import store as arrays
from storage.store import NamedArray, Store

root, point = sys.argv[1:]

def die_at(reached):
    if reached == point:
        os.kill(os.getpid(), signal.SIGKILL)

def dying(function, before, after):
    def wrapped(*arguments):
        die_at(before)
        found = function(*arguments)
        die_at(after)
        return found
    return wrapped

def contents():
    for number in range(2):
        die_at(f"array {number}")
        yield NamedArray(name=f"x{number}", values=np.full(1000, number), dims=("i",))
    die_at("last array")

Path.rename = dying(Path.rename, "before rename", "after rename")
Path.write_bytes = dying(Path.write_bytes, "before manifest", "after manifest")
arrays._synced_digests = dying(arrays._synced_digests, "before digests", "after digests")
print(Store(root=root).commit("s", "k", contents(), {"a": 1}).digest)
"""


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def finished(store: Store) -> list[Path]:
    scenes = Path(store.root) / "scenes"
    return sorted(path for path in scenes.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "point",
    ["array 0", "array 1", "last array", "after digests", "after manifest", "before rename"],
)
def test_a_killed_writer_leaves_no_committed_artefact(store: Store, point: str) -> None:
    child = run_python(WRITER, store.root, point)
    assert child.returncode == -9, child.stderr
    assert finished(store) == []
    assert any(store.staging.iterdir())

    assert remove_abandoned_staging(store) == 1
    assert list(store.staging.iterdir()) == []
    assert remove_abandoned_staging(store) == 0


def test_a_writer_killed_after_the_last_step_has_committed(store: Store) -> None:
    child = run_python(WRITER, store.root, "after rename")
    assert child.returncode == -9, child.stderr
    contents = [
        NamedArray(name=f"x{number}", values=np.full(1000, number), dims=("i",))
        for number in range(2)
    ]
    (written,) = (Path(store.root) / "scenes/s/k").iterdir()
    handle = store.commit("s", "k", contents, {"a": 1})
    assert Path(handle.uri) == written
    handle.verify()
    assert remove_abandoned_staging(store) == 1


def test_a_sweep_spares_a_running_writer(store: Store) -> None:
    def swept_meanwhile() -> Iterator[NamedArray]:
        yield NamedArray(name="x", values=np.ones(3), dims=("i",))
        assert remove_abandoned_staging(store) == 0
        yield NamedArray(name="y", values=np.ones(3), dims=("i",))

    handle = store.commit("s", "k", swept_meanwhile(), {})
    handle.verify()


def test_a_sweep_in_another_process_spares_a_running_writer(store: Store) -> None:
    sweep = """
    import sys
    from storage.store import Store, remove_abandoned_staging
    print(remove_abandoned_staging(Store(root=sys.argv[1])))
    """
    with locked_folder(store.staging) as folder:
        (folder / "x").write_text("ours")
        child = run_python(sweep, store.root)
        assert child.stdout == "0\n", child.stderr
        assert (folder / "x").read_text() == "ours"


def test_an_interrupted_sweep_is_finished_by_the_next(store: Store) -> None:
    store.staging.mkdir(parents=True)
    (store.staging / "tmp1.lock").touch()  # its folder is gone already
    (store.staging / "tmp2.lock").touch()
    (store.staging / "tmp2.dir").mkdir()
    assert remove_abandoned_staging(store) == 1
    assert list(store.staging.iterdir()) == []


def test_a_store_without_staging_has_nothing_to_sweep(store: Store) -> None:
    assert remove_abandoned_staging(store) == 0


LIMITED = """
import resource, sys
import numpy as np
from storage.store import NamedArray, Store
from storage.errors import StoreError
from storage.files import put

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = Store(root=sys.argv[1])
noise = np.random.default_rng(0).integers(0, 255, 1_000_000, np.uint8)
for write in (
    lambda: store.commit("hall", "splat", [NamedArray(name="x", values=noise, dims=("i",))], {}),
    lambda: put(store, "metrics/views/a.parquet", noise.tobytes()),
):
    try:
        write()
    except StoreError as error:
        print(error)
"""


def test_a_full_disk_is_a_store_error_and_leaves_nothing(store: Store) -> None:
    files.put(store, "metrics/views/a.parquet", b"old")
    child = run_python(LIMITED, store.root)
    assert child.returncode == 0, child.stderr
    artefact, table = child.stdout.splitlines()
    assert artefact.startswith("the artefact 'splat' of scene 'hall' could not be written to")
    assert table.startswith("the file metrics/views/a.parquet could not be written to")
    for line in (artefact, table):
        assert store.root in line
        assert "File too large" in line
        assert "free space" in line
    assert finished(store) == []
    assert list(store.staging.iterdir()) == []
    assert files.get(store, "metrics/views/a.parquet") == b"old"


@pytest.mark.parametrize("place", ["under a file", "/proc/unseen-store"])
def test_an_unwritable_store_is_a_store_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    store = Store(root=str(tmp_path / "file" / "store") if place == "under a file" else place)
    with pytest.raises(StoreError, match=r"cannot be written .* UNSEEN_STORE"):
        store.check_writable()
    with pytest.raises(StoreError, match="'k' of scene 's' could not be written"):
        store.commit("s", "k", [], {})
    with pytest.raises(StoreError, match=r"runs/a.json could not be written"):
        files.put(store, "runs/a.json", b"{}")


def test_checking_a_store_creates_it_and_leaves_it_empty(store: Store) -> None:
    store.check_writable()
    assert list(Path(store.root).iterdir()) == []


@pytest.mark.parametrize(("silent_s", "removed"), [(60, 0), (3600, 1)])
def test_a_sweep_spares_a_writer_of_another_machine_whose_lock_looks_free_here(
    store: Store, silent_s: float, removed: int
) -> None:
    folder, lock = store.staging / "theirs.dir", store.staging / "theirs.lock"
    folder.mkdir(parents=True)
    lock.write_text('{"host": "node7", "pid": 41, "boot": "of node7", "since": "2026-01-01"}')
    touched = time.time() - silent_s
    os.utime(lock, (touched, touched))
    assert len(find_abandoned(store.staging)) == removed
    assert remove_abandoned_staging(store) == removed
    assert folder.exists() == lock.exists() == (not removed)


def test_a_writer_names_its_machine_to_others_from_the_first_instant(store: Store) -> None:
    seen = []

    def look(_: str) -> None:
        seen.extend(path.read_text() for path in store.staging.glob("*.lock"))

    with at_every_instant(look):
        files.put(store, "some/key", b"content")
    assert seen
    assert {json.loads(content)["host"] for content in seen} == {os.uname().nodename}
    assert list(store.staging.iterdir()) == []
