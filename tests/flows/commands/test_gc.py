"""Garbage collection on a disk and behind URLs never removes artefacts of kept runs."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.commands.gc import Garbage, bytes_of, find_garbage, remove_garbage
from flows.runs.record import all_runs, load_run
from storage.errors import IntegrityError
from storage.files import put
from storage.metrics import read_table, write_rows
from storage.staging import locked_folder
from storage.store import Store
from tasks.errors import InputError
from tasks.sfm.features.cache import cache_folder
from tests.support.object_store import object_store
from tests.support.stored_runs import FIRST_DAY, cached, checkpoint, commit, ended, keys_in

ROOT = Path(__file__).parents[3]
AT_ONCE = timedelta(seconds=-60)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with object_store("garbage"):
        yield "garbage"


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(root=str(tmp_path / "store"))
    if request.param == "memory":
        return Store(root=f"memory://{tmp_path}/store")
    return Store(root=f"s3://{request.getfixturevalue('bucket')}/{tmp_path.name}")


def garbage_in(
    store: Store,
    *drop: str,
    keep_runs: int | None = None,
    going_on: tuple[str, ...] = (),
    age: timedelta = AT_ONCE,
) -> Garbage:
    return find_garbage(
        store, drop=drop, keep_runs=keep_runs, is_ongoing=lambda run: run in going_on, age=age
    )


def remove_all(store: Store, garbage: Garbage) -> list[str]:
    return list(remove_garbage(store, garbage))


def test_a_store_whose_runs_are_all_kept_is_unchanged(store: Store) -> None:
    ended(store, "first", {"a": 1.0, "b": 2.0})
    ended(store, "second", {"a": 3.0}, state="failed")
    before = keys_in(store)
    garbage = garbage_in(store)
    assert {count for count, _ in bytes_of(garbage).values()} == {0}
    assert remove_all(store, garbage) == []
    assert keys_in(store) == before


def test_features_and_matches_go_with_the_last_run_of_their_scene(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))  # of a store at a URL
    ended(store, "first", {"a/b": 1.0, "c": 2.0}, day=1)
    ended(store, "second", {"c": 2.0}, day=2)
    entries = {}
    for scene in ("a/b", "c", "never run"):
        entries[scene] = cache_folder(store, scene) / "pairs" / "0f" / "one.npz"
        entries[scene].parent.mkdir(parents=True)
        entries[scene].write_bytes(b"some bytes")
    assert [one.size for one in garbage_in(store).features] == [10]
    assert garbage_in(store, age=timedelta(minutes=15)).features == ()
    remove_all(store, garbage_in(store))
    assert [scene for scene, entry in entries.items() if entry.exists()] == ["a/b", "c"]
    remove_all(store, garbage_in(store, "first"))
    assert [scene for scene, entry in entries.items() if entry.exists()] == ["c"]


def test_an_empty_store_has_nothing_to_remove(store: Store) -> None:
    assert remove_all(store, garbage_in(store)) == []


def test_unreferenced_artefacts_are_removed_with_their_cache_records(store: Store) -> None:
    kept = ended(store, "first", {"a": 1.0})
    before = keys_in(store)
    orphan = commit(store, "a", "splat", 7.0)
    cached(store, "splat", orphan)
    put(store, "cache/ingest-of-something-else", b"{}")
    garbage = garbage_in(store)
    assert [one.key for one in garbage.artefacts] == [orphan.uri.removeprefix(f"{store.root}/")]
    assert len(garbage.records) == 2
    assert keys_in(store) > before  # finding removes nothing
    remove_all(store, garbage)
    assert keys_in(store) == before
    for handle in kept["a"].values():
        handle.verify()


def test_a_dropped_run_is_removed_except_for_shared_artefacts(store: Store) -> None:
    dropped = ended(store, "first", {"a": 1.0, "b": 2.0})
    kept = ended(store, "second", {"a": 1.0, "c": 3.0}, day=2)
    remove_all(store, garbage_in(store, "first"))
    assert [one.run for one in all_runs(store)] == ["second"]
    for table in ("scenes", "stages"):
        assert set(read_table(store, table)["run"]) == {"second"}
    for scene in kept.values():
        for handle in scene.values():
            handle.verify()
    for handle in dropped["b"].values():
        with pytest.raises(IntegrityError):
            handle.verify()
    assert not any("/b/" in key or ",b." in key for key in keys_in(store))
    assert remove_all(store, garbage_in(store)) == []


def test_only_the_newest_and_unfinished_runs_are_kept(store: Store) -> None:
    ended(store, "old", {"a": 1.0}, day=1)
    ended(store, "killed", {"a": 2.0}, day=2, state=None)
    ended(store, "going on", {"a": 3.0}, day=3)
    ended(store, "older", {"a": 4.0}, day=0)
    ended(store, "last", {"a": 5.0}, day=4)
    garbage = garbage_in(store, keep_runs=1, going_on=("going on",))
    assert garbage.runs == ("older", "old")
    assert garbage_in(store, "killed", keep_runs=9).runs == ("killed",)
    assert set(garbage_in(store, keep_runs=0).runs) == {"older", "old", "going on", "last"}
    remove_all(store, garbage)
    assert {one.run for one in all_runs(store)} == {"killed", "going on", "last"}


def test_a_run_without_its_record_is_kept_until_it_is_dropped(store: Store) -> None:
    handles = ended(store, "first", {"a": 1.0})["a"]
    store_files = {key for key in keys_in(store) if key.startswith("runs/")}
    from storage.files import remove

    for key in store_files:
        remove(store, key)
    assert remove_all(store, garbage_in(store)) == []
    handles["splat"].verify()
    remove_all(store, garbage_in(store, "first"))
    assert keys_in(store) == set()


def test_undroppable_runs_are_refused_and_nothing_is_removed(store: Store) -> None:
    ended(store, "first", {"a": 1.0})
    with pytest.raises(InputError, match=r"has no run 'x'.* the last ones are: first"):
        garbage_in(store, "x")
    with pytest.raises(InputError, match=r"the run 'first' is active"):
        garbage_in(store, "first", going_on=("first",))
    with pytest.raises(InputError, match="--keep-runs is -1"):
        garbage_in(store, keep_runs=-1)


def test_young_artefacts_are_kept_for_running_scenes(store: Store) -> None:
    orphan = commit(store, "a", "splat", 7.0)
    cached(store, "splat", orphan)
    checkpoint(store, "splat-0")
    garbage = garbage_in(store, age=timedelta(minutes=5))
    assert (garbage.artefacts, garbage.records, garbage.checkpoints) == ((), (), ())
    assert len(garbage_in(store).artefacts) == 1


def test_an_old_artefact_that_is_committed_again_is_young(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    orphan = Path(commit(store, "a", "splat", 7.0).uri)
    for path in (*orphan.rglob("*"), orphan):
        os.utime(path, (0, 0))
    assert len(garbage_in(store, age=timedelta(minutes=5)).artefacts) == 1
    commit(store, "a", "splat", 7.0)
    assert garbage_in(store, age=timedelta(minutes=5)).artefacts == ()


def test_artefacts_recalled_during_gc_are_kept(store: Store) -> None:
    orphan = commit(store, "a", "splat", 7.0)
    garbage = garbage_in(store)
    assert len(garbage.artefacts) == 1
    ended(store, "new", {"a": 7.0})  # its splat is the orphan
    remove_all(store, garbage)
    orphan.verify()


def test_a_partially_written_artefact_is_removed(store: Store) -> None:
    put(store, "scenes/a/splat/0123456789abcdef.zarr/x/c/0", b"bytes")
    remove_all(store, garbage_in(store))
    assert keys_in(store) == set()


def test_checkpoints_are_kept_only_for_resumable_runs(store: Store) -> None:
    checkpoint(store, "splat-0")
    assert len(garbage_in(store).checkpoints) == 1
    handle = ended(store, "first", {"a": 1.0}, state="failed")["a"]["splat"]
    assert garbage_in(store).checkpoints == ()
    done = cached(store, "splat", handle).removeprefix("cache/")
    checkpoint(store, done)
    assert len(garbage_in(store).checkpoints) == 1
    ended(store, "first", {"a": 1.0})
    remove_all(store, garbage_in(store))
    assert not any(key.startswith("checkpoints/") for key in keys_in(store))


@pytest.mark.parametrize(("minutes", "goes"), [(30, False), (90, True)])
def test_checkpoints_older_than_all_runs_are_removed_within_clock_tolerance(
    store: Store, minutes: float, goes: bool
) -> None:
    began = datetime.now(UTC) + timedelta(minutes=minutes)
    checkpoint(store, "splat-0")
    ended(store, "first", {"a": 1.0}, state="failed", day=(began - FIRST_DAY) / timedelta(days=1))
    assert len(garbage_in(store).checkpoints) == int(goes)


@pytest.mark.parametrize("state", ["started", "failed"])
def test_the_checkpoint_of_a_training_is_kept_until_completed_or_dropped(
    store: Store, state: str
) -> None:
    """One that was killed is called started for ever."""

    def told(run: str, state: str) -> None:
        write_rows(store, "scenes", run=run, scene="refiner", rows=[{"state": state}])

    ended(store, "scenes", {"a": 1.0})
    told("first training", state)
    checkpoint(store, "train-0")
    assert garbage_in(store).checkpoints == ()
    assert ("first training" in garbage_in(store, keep_runs=0).runs) == (state == "failed")
    assert len(garbage_in(store, "first training").checkpoints) == 1
    told("first training", "completed")
    assert len(garbage_in(store).checkpoints) == 1


def test_a_training_is_completed_even_if_a_scene_gave_no_pairs(store: Store) -> None:
    for scene, state in (("few", "failed"), ("refiner", "completed")):
        write_rows(store, "scenes", run="training", scene=scene, rows=[{"state": state}])
    checkpoint(store, "train-0")
    assert len(garbage_in(store).checkpoints) == 1


def test_a_damaged_table_stops_gc_because_references_are_unknown(store: Store) -> None:
    ended(store, "first", {"a": 1.0})
    put(store, "metrics/stages/first,a.parquet", b"PAR1")
    commit(store, "a", "splat", 7.0)
    with pytest.raises(IntegrityError, match=r"stages/first,a.parquet"):
        garbage_in(store)


def test_staging_of_killed_writers_is_removed_and_of_living_writers_kept(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    with locked_folder(store.staging) as folder:
        (store.staging / "killed.dir").mkdir()
        (store.staging / "killed.lock").touch()
        (store.staging / "without lock.dir").mkdir()
        garbage = garbage_in(store)
        assert {path.name for path in garbage.staging} == {"killed.dir", "without lock.dir"}
        remove_all(store, garbage)
        assert folder.is_dir()
        assert len(list(store.staging.iterdir())) == 2  # the living writer's folder and lock


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from([1.0, 2.0, 3.0]), min_size=1),
        min_size=1,
        max_size=4,
    ),
    dropped=st.sets(st.integers(0, 3)),
    cut=st.integers(0, 40),
)
def test_gc_interrupted_anywhere_keeps_runs_intact_and_the_next_gc_finishes(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[dict[str, float]],
    dropped: set[int],
    cut: int,
) -> None:
    store = Store(root=f"memory://{tmp_path_factory.mktemp('cut')}/store")
    made = [ended(store, f"r{i}", scenes, day=i) for i, scenes in enumerate(values)]
    drop = [f"r{i}" for i in dropped if i < len(values)]
    removal = remove_garbage(store, garbage_in(store, *drop))
    for _ in range(cut):
        next(removal, None)

    # Whatever can be recalled or is listed still is whole.
    for row in read_table(store, "stages").to_dict("records"):
        (handle,) = {
            one
            for scenes in made
            for stages in scenes.values()
            for one in stages.values()
            if one.uri == row["uri"]
        }
        handle.verify()
    left = {one for one in drop if one in set(read_table(store, "stages")["run"])}
    remove_all(store, garbage_in(store, *left))

    wanted = {
        handle.uri.removeprefix(f"{store.root}/")
        for i, scenes in enumerate(made)
        if f"r{i}" not in drop
        for stages in scenes.values()
        for handle in stages.values()
    }
    keys = keys_in(store)
    assert {"/".join(key.split("/")[:4]) for key in keys if key.startswith("scenes/")} == wanted
    assert len([key for key in keys if key.startswith("cache/")]) == len(wanted)
    assert len(all_runs(store)) == len(values) - len(drop)


KILLED = """
import sys
from datetime import timedelta
from flows.commands.gc import find_garbage, remove_garbage
from storage.store import Store

store = Store(root=sys.argv[1])
age = timedelta(seconds=-60)
garbage = find_garbage(store, drop=["gone"], is_ongoing=lambda run: False, age=age)
print("ready", flush=True)
for gone in remove_garbage(store, garbage):
    pass
"""


@pytest.mark.parametrize("milliseconds", [1, 12])
def test_a_killed_gc_leaves_a_usable_store(tmp_path: Path, milliseconds: int) -> None:
    store = Store(root=str(tmp_path))
    kept = ended(store, "kept", {"a": 1.0})
    scenes = {f"s{number}": float(number) for number in range(12)}
    ended(store, "gone", scenes, day=2)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, store.root], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(milliseconds / 1000)
        process.kill()
    for handle in kept["a"].values():
        handle.verify()
    with contextlib.suppress(InputError):  # gone already
        remove_all(store, garbage_in(store, "gone"))
    remove_all(store, garbage_in(store))
    assert load_run(store).run == "kept"
    assert {key.split("/")[1] for key in keys_in(store) if key.startswith("scenes/")} == {"a"}
    assert not list(store.staging.glob("*.dir"))
