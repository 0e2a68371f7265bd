"""A damaged artefact is never read as another one."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from storage.errors import IntegrityError
from storage.handles import ArrayHandle
from storage.store import Store
from tests.support.two_arrays import two_arrays


@pytest.fixture
def handle(store: Store, tiny_objects: None) -> ArrayHandle:
    return store.commit("s", "k", two_arrays(), {"title": "two arrays"})


def delete(path: Path) -> None:
    path.unlink()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [delete, flip_a_bit, truncate, append, empty, replace_by_a_folder]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_object_is_detected_and_named(
    handle: ArrayHandle, damage: Callable[[Path], None]
) -> None:
    folder = Path(handle.uri)
    spare = folder.with_name("spare")
    keys = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert sum(key.startswith("noise/c/") for key in keys) == 3  # shards of 8 of 20 rows

    for key in keys:
        shutil.copytree(folder, spare)
        damage(folder / key)
        with pytest.raises(IntegrityError, match=key):
            handle.verify()
        owner = key.split("/")[0]
        if owner in ("noise", "ramp"):
            with pytest.raises(IntegrityError, match=key):
                handle.array(owner)
            (other,) = {"noise", "ramp"} - {owner}
            handle.array(other)  # neither reads nor needs its neighbour
            assert handle.attributes["title"] == "two arrays"
        else:
            with pytest.raises(IntegrityError, match=key):
                _ = handle.attributes
        shutil.rmtree(folder)
        spare.rename(folder)
    handle.verify()


def test_the_damage_message_gives_the_remedy(handle: ArrayHandle) -> None:
    (Path(handle.uri) / "ramp/zarr.json").unlink()
    with pytest.raises(IntegrityError, match=r"ramp/zarr.json is missing; run the scene again"):
        handle.array("ramp")


def test_a_missing_artefact_is_detected(handle: ArrayHandle) -> None:
    shutil.rmtree(handle.uri)
    with pytest.raises(IntegrityError, match=r"manifest.json is missing"):
        handle.verify()


def test_a_manifest_edited_to_fit_damaged_objects_is_refused(handle: ArrayHandle) -> None:
    folder = Path(handle.uri)
    flip_a_bit(folder / "ramp/c/0")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["objects"]["ramp/c/0"] = sha256((folder / "ramp/c/0").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True, indent=1))
    with pytest.raises(IntegrityError, match=r"manifest.json: expected sha256"):
        handle.array("ramp")


def test_an_artefact_of_another_schema_is_refused_by_name(handle: ArrayHandle) -> None:
    path = Path(handle.uri) / "manifest.json"
    content = path.read_bytes().replace(b'"schema": 2', b'"schema": 99')
    path.write_bytes(content)
    newer = ArrayHandle(uri=handle.uri, kind="k", digest=sha256(content).hexdigest())
    with pytest.raises(IntegrityError, match="schema 99, this version of unseen reads 2"):
        newer.array("ramp")


@pytest.mark.parametrize("key", ["manifest.json", "zarr.json", "noise/c/1/0", "ramp/zarr.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_committing_again_repairs_a_damaged_artefact(
    store: Store, handle: ArrayHandle, key: str, damage: Callable[[Path], None]
) -> None:
    damage(Path(handle.uri) / key)
    assert store.commit("s", "k", two_arrays(), {"title": "two arrays"}) == handle
    handle.verify()
    assert [path.name for path in Path(handle.uri).parent.iterdir()] == [Path(handle.uri).name]
    assert list(store.staging.iterdir()) == []


def test_committing_replaces_a_file_in_place_of_an_artefact(
    store: Store, handle: ArrayHandle
) -> None:
    shutil.rmtree(handle.uri)
    Path(handle.uri).write_text("not a folder")
    store.commit("s", "k", two_arrays(), {"title": "two arrays"})
    handle.verify()
