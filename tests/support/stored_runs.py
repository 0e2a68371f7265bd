"""Runs as they stand in a store when they have ended, written without running a stage."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np

from flows.runs.record import RunRecord, save_run
from storage.checkpoints import Checkpoint
from storage.files import put
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.store import NamedArray, Store
from tasks.caching import RECORDS, VerifiedSerializer

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
STAGES = {"ingest": "photos", "splat": "splat"}


def commit(store: Store, scene: str, kind: str, value: float) -> ArrayHandle:
    noise = np.random.default_rng(int(value)).normal(size=64)
    return store.commit(scene, kind, [NamedArray(name="x", values=noise, dims=("i",))], {})


def record(store: Store, key: str, handle: ArrayHandle) -> str:
    """Write the record of a stage that gave a handle, as Prefect does; its file in the store."""
    serializer = VerifiedSerializer()
    content = {
        "metadata": {"storage_key": "k", "serializer": serializer.model_dump(mode="json")},
        "result": serializer.dumps(handle).decode(),
    }
    place = f"{RECORDS}/{key}"
    put(store, place, json.dumps(content).encode())
    return place


def cached(store: Store, stage: str, handle: ArrayHandle) -> str:
    """The record of a stage under a key of its own; its file in the store."""
    return record(store, f"{stage}-{sha256(handle.uri.encode()).hexdigest()}", handle)


def ended(
    store: Store,
    run: str,
    scenes: dict[str, float],
    *,
    state: str | None = "completed",
    day: float = 1,
) -> dict[str, dict[str, ArrayHandle]]:
    """A run with two stages a scene; equal values are equal artefacts.

    Args:
        state: of every scene; None where no scene has a row.
        day: of its beginning.
    """
    began = FIRST_DAY + timedelta(days=day)
    asked = RunRecord(
        run=run,
        dataset="/photos",
        only=(),
        scenes=tuple(scenes),
        config={"splat": {"iterations": 4000}},
        created_at=began.isoformat(),
    )
    save_run(store, asked)
    made: dict[str, dict[str, ArrayHandle]] = {}
    for scene, value in scenes.items():
        made[scene] = {}
        rows = []
        for stage, kind in STAGES.items():
            handle = commit(store, scene, kind, value if stage == "splat" else 0.0)
            cached(store, stage, handle)
            made[scene][stage] = handle
            rows.append({"stage": stage, "uri": handle.uri, "digest": handle.digest})
        write_rows(store, "stages", run=run, scene=scene, rows=rows)
        if state is not None:
            write_rows(store, "scenes", run=run, scene=scene, rows=[{"state": state}])
    return made


def checkpoint(store: Store, key: str) -> Path:
    Checkpoint(store=store, key=key).save(lambda file: file.write(b"state"))
    return Path("checkpoints") / key


def keys_in(store: Store) -> set[str]:
    """Every file of a store, found without asking it."""
    if store.local is not None:
        found = (path for path in store.local.rglob("*") if path.is_file())
        return {path.relative_to(store.local).as_posix() for path in found}
    import fsspec

    filesystem, path = fsspec.url_to_fs(store.root, use_listings_cache=False)
    return {key.removeprefix(f"{path}/") for key in filesystem.find(path)}
