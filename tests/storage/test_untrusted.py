"""Stored content is never executed and never leads out of the store."""

import io
import json
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storage import parquet
from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError
from storage.handles import ArrayHandle
from storage.store import NamedArray, Store
from tasks.runtime.checkpoints import read_state
from tasks.splat.train.state import TrainState


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """What a bomb makes, as it proves here when it is unpickled."""
    made = tmp_path / "made by the bomb"
    pickle.loads(pickle.dumps(Bomb(made)))
    made.unlink()
    return made


def forged(store: Store, objects: dict[str, bytes]) -> ArrayHandle:
    """An artefact whose digests are all right, of somebody who can write to the store."""
    digests = {key: sha256(content).hexdigest() for key, content in objects.items()}
    manifest = json.dumps({"schema": 2, "kind": "splat", "objects": digests}).encode()
    digest = sha256(manifest).hexdigest()
    folder = Path(store.root) / "scenes" / "s" / "splat" / f"{digest[:16]}.zarr"
    for key, content in {**objects, "manifest.json": manifest}.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
    return ArrayHandle(uri=str(folder), kind="splat", digest=digest)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_is_not_unpickled(store: Store, target: Path, legacy: bool) -> None:
    file = io.BytesIO()
    torch.save({"iteration": Bomb(target)}, file, _use_new_zipfile_serialization=not legacy)
    place = Checkpoint(store=store, key="k")
    for content in (file.getvalue(), pickle.dumps(Bomb(target))):
        place.save(lambda opened, content=content: opened.write(content))
        loaded = place.load()
        assert loaded is not None
        with pytest.raises(IntegrityError, match="the stage starts from its beginning"):
            read_state(loaded, TrainState)
    assert not target.exists()


@pytest.mark.parametrize("codec", ["pickle", "numcodecs.pickle"])
def test_an_array_is_not_unpickled(store: Store, target: Path, codec: str) -> None:
    handle = store.commit("s", "k", [NamedArray(name="x", values=np.ones(1), dims=("i",))], {})
    whole = json.loads((Path(handle.uri) / "x/zarr.json").read_text())
    whole["codecs"] = [{"name": codec, "configuration": {}}]
    group = (Path(handle.uri) / "zarr.json").read_bytes()
    objects = {
        "zarr.json": group,
        "x/zarr.json": json.dumps(whole).encode(),
        "x/c/0": pickle.dumps(Bomb(target)),
    }
    found = forged(store, objects)
    found.verify()
    with pytest.raises(Exception):  # noqa: B017, PT011 - zarr's own, of no one kind
        found.array("x")
    assert not target.exists()


def test_an_array_of_objects_is_not_unpickled(store: Store, target: Path) -> None:
    handle = store.commit("s", "k", [NamedArray(name="x", values=np.ones(1), dims=("i",))], {})
    whole = json.loads((Path(handle.uri) / "x/zarr.json").read_text())
    group = (Path(handle.uri) / "zarr.json").read_bytes()
    for kind in ("object", "|O"):
        metadata = json.dumps({**whole, "data_type": kind}).encode()
        content = pickle.dumps(np.array([Bomb(target)], dtype=object))
        found = forged(store, {"zarr.json": group, "x/zarr.json": metadata, "x/c/0": content})
        with pytest.raises(Exception):  # noqa: B017, PT011 - zarr's own, of no one kind
            found.array("x")
    assert not target.exists()


def test_a_table_is_not_unpickled(target: Path) -> None:
    with pytest.raises(IntegrityError, match="is damaged"):
        parquet.from_bytes(pickle.dumps(Bomb(target)), "x")
    assert not target.exists()


@pytest.mark.parametrize("key", ["../../secret", "x/../../../secret", "/etc/hostname", ".."])
def test_a_manifest_cannot_name_objects_outside_its_artefact(store: Store, key: str) -> None:
    handle = forged(store, {"x/c/0": b""})
    manifest = Path(handle.uri) / "manifest.json"
    content = json.dumps({"schema": 2, "kind": "splat", "objects": {key: "0" * 64}}).encode()
    manifest.write_bytes(content)
    handle = ArrayHandle(uri=handle.uri, kind="splat", digest=sha256(content).hexdigest())
    with pytest.raises(IntegrityError, match=r"names the object .* which is not below it"):
        handle.verify()


odd = st.text(st.sampled_from("a./\\-%~:\0é"), max_size=12)


@given(scene=odd, number=st.integers(0, 3))
def test_no_scene_name_leads_out_of_the_store(
    tmp_path_factory: pytest.TempPathFactory, scene: str, number: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "names"
    store = Store(root=str(root / "store"))
    values = NamedArray(name="x", values=np.full(1, number), dims=("i",))
    handle = store.commit(scene, "k", [values], {})
    inside = Path(handle.uri).resolve().relative_to((root / "store" / "scenes").resolve())
    assert len(inside.parts) == 3
    assert [path.name for path in root.iterdir()] == ["store"]
