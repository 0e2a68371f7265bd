"""Each damaged or missing thing of a store is named once, and a sound store passes."""

import re
import sys
from pathlib import Path

import pytest

from flows import cli
from flows.commands.verify import Fault, verify
from storage.files import get, put, remove
from storage.schema import prepare_store
from storage.store import Store
from tasks.errors import InputError
from tasks.runtime.progress import no_progress
from tests.support.stored_runs import checkpoint, commit, ended


@pytest.fixture(params=["disk", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = tmp_path / "store" if request.param == "disk" else f"memory://{tmp_path}/store"
    return Store(root=str(root))


def findings(store: Store, run: str | None = None) -> list[Fault]:
    return list(verify(store, run, no_progress))


def flip(store: Store, key: str) -> None:
    content = bytearray(get(store, key))
    content[len(content) // 2] ^= 1
    put(store, key, bytes(content))


def key_of(store: Store, uri: str, name: str) -> str:
    return f"{uri.removeprefix(f'{store.root}/')}/{name}"


def test_intact_stores_pass(store: Store) -> None:
    ended(store, "first", {"a": 1.0, "b c": 2.0})
    ended(store, "second", {"a": 3.0}, state="failed")
    checkpoint(store, "splat-0-splat")
    commit(store, "a", "splat", 9.0)  # that no run refers to
    assert findings(store) == []
    assert findings(store, "first") == []


@pytest.mark.parametrize("name", ["manifest.json", "zarr.json", "x/zarr.json", "x/c/0"])
@pytest.mark.parametrize("damage", [flip, remove])
def test_a_damaged_object_is_named_with_its_scene_and_kind(
    store: Store, name: str, damage: object
) -> None:
    assert callable(damage)
    handle = ended(store, "first", {"b c": 1.0})["b c"]["splat"]
    ended(store, "second", {"a": 2.0})
    damage(store, key_of(store, handle.uri, name))
    (found,) = findings(store)
    assert (found.scene, found.kind) == ("b c", "splat")
    assert f"{handle.uri}/{name}" in str(found)
    assert "run the scene again" in str(found)
    assert findings(store, "first") == [found]
    assert findings(store, "second") == []


def test_every_damaged_object_is_named(store: Store) -> None:
    made = ended(store, "first", {"a": 1.0})["a"]
    flip(store, key_of(store, made["splat"].uri, "x/c/0"))
    remove(store, key_of(store, made["splat"].uri, "zarr.json"))
    for name in ("manifest.json", "zarr.json", "x/zarr.json", "x/c/0"):
        remove(store, key_of(store, made["ingest"].uri, name))
    place = checkpoint(store, "splat-0-splat").as_posix()
    flip(store, place)
    flip(store, "runs/first.json")
    flip(store, "metrics/scenes/first,a.parquet")
    orphan = commit(store, "c", "splat", 9.0)
    flip(store, key_of(store, orphan.uri, "manifest.json"))
    half = commit(store, "d", "splat", 9.0)
    remove(store, key_of(store, half.uri, "manifest.json"))
    said = [str(one) for one in findings(store)]
    places = ["runs/first.json", "metrics/scenes/first,a.parquet", place]
    places += [f"{orphan.uri}/manifest.json", half.uri, "x/c/0", "splat/"]
    for named in places:
        assert any(named in line for line in said), named
    assert all("\n" not in line for line in said)
    assert len(said) >= 6


def test_a_missing_artefact_is_reported_with_the_run_that_made_it(store: Store) -> None:
    handle = ended(store, "first", {"a": 1.0})["a"]["splat"]
    for name in ("manifest.json", "zarr.json", "x/zarr.json", "x/c/0"):
        remove(store, key_of(store, handle.uri, name))
    (found,) = findings(store)
    assert f"{handle.uri} is missing" in str(found)


def test_progress_reaches_the_end(store: Store) -> None:
    ended(store, "first", {"a": 1.0, "b": 2.0})
    shares: list[float] = []
    list(verify(store, None, lambda share, doing: shares.append(share)))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == 5


def test_a_store_with_nothing_in_it_is_never_said_to_be_sound(store: Store) -> None:
    missing = "does not exist" if store.local else "has no runs and no results yet"
    with pytest.raises(InputError, match=rf"store {store.root} {missing}, .* --store"):
        findings(store)
    prepare_store(store)
    with pytest.raises(InputError, match=r"has no runs and no results yet, .* --store"):
        findings(store)


def test_a_run_without_results_is_never_said_to_be_sound(store: Store) -> None:
    ended(store, "first", {"a": 1.0})
    with pytest.raises(InputError, match=r"has no run 'frist', did you mean 'first'\?"):
        findings(store, "frist")
    ended(store, "none", {})
    with pytest.raises(InputError, match=r"the run 'none' has 0 scenes"):
        findings(store, "none")
    for table in ("scenes", "stages"):
        remove(store, f"metrics/{table}/first,a.parquet")
    with pytest.raises(InputError, match=r"no stage of the run 'first' has a result"):
        findings(store, "first")


def test_rows_without_a_record_are_a_fault_and_no_typo(store: Store) -> None:
    ended(store, "first", {"a": 1.0})
    ended(store, "second", {"a": 1.0})
    remove(store, "runs/first.json")
    (found,) = findings(store, "first")
    assert "runs/first.json is missing" in str(found)


@pytest.mark.parametrize("words", [["verify"], ["gc"], ["report"], ["status"], ["resume"]])
def test_commands_say_that_a_store_is_not_there_and_fail(
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UNSEEN_STORE", "")
    monkeypatch.setattr(sys, "argv", ["unseen", *words, "--store", str(tmp_path / "sotre")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert re.search(r"the store .*/sotre does not exist", str(ended.value.code))
    assert not (tmp_path / "sotre").exists()
    assert capsys.readouterr().out == ""
