"""The guarantees of the store on an S3 server (moto on loopback)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from storage.errors import IntegrityError, StoreError
from storage.files import get, names_in, put
from storage.handles import ArrayHandle
from storage.metrics import read_table, write_rows
from storage.store import NamedArray, Store, remove_abandoned_staging
from tests.support.object_store import object_store
from tests.support.two_arrays import two_arrays

s3fs = pytest.importorskip("s3fs")
BUCKET = "photos"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with object_store(BUCKET) as client:
        yield client


@pytest.fixture
def store(client: Any, request: pytest.FixtureRequest) -> Store:
    return Store(root=f"s3://{BUCKET}/{request.node.name}")


@pytest.fixture
def patched_s3() -> Iterator[pytest.MonkeyPatch]:
    """Patches of the class of file systems: instances keep what they were made with."""
    with pytest.MonkeyPatch.context() as patch:
        s3fs.S3FileSystem.clear_instance_cache()
        yield patch
    s3fs.S3FileSystem.clear_instance_cache()


def keys(client: Any, prefix: str) -> list[str]:
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix.removeprefix(f"s3://{BUCKET}/"))
    return [entry["Key"] for entry in listed.get("Contents", [])]


def commit(store: Store) -> ArrayHandle:
    return store.commit("hall 1", "k", two_arrays(), {"title": "two arrays"})


def test_arrays_and_attributes_are_read_back(store: Store, tiny_objects: None, client: Any) -> None:
    handle = commit(store)
    assert handle.uri.startswith(f"{store.root}/scenes/hall%201/k/")
    handle.verify()
    for array in two_arrays():
        np.testing.assert_array_equal(handle.array(array.name), array.values)
    assert handle.attributes == {"title": "two arrays"}
    assert sum("/noise/c/" in key for key in keys(client, handle.uri)) == 3
    assert commit(store) == handle
    assert list(store.staging.iterdir()) == []


def test_the_manifest_is_uploaded_last(
    store: Store, tiny_objects: None, patched_s3: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    for method in ("_put_file", "_pipe_file"):
        original = getattr(s3fs.S3FileSystem, method)

        async def recorded(self: Any, *paths: Any, original: Any = original, **options: Any) -> Any:
            found = await original(self, *paths, **options)
            sent.extend(path for path in paths if str(path).startswith(BUCKET))
            return found

        patched_s3.setattr(s3fs.S3FileSystem, method, recorded)
    handle = commit(store)
    prefix = handle.uri.removeprefix("s3://")
    assert sent[-1] == f"{prefix}/manifest.json"
    assert {f"{prefix}/zarr.json", f"{prefix}/noise/c/0/0"} < set(sent[:-1])


def test_an_interrupted_upload_is_unreadable_with_a_clear_error(
    store: Store, tiny_objects: None, client: Any, patched_s3: pytest.MonkeyPatch
) -> None:
    finished = commit(Store(root=f"{store.root}-finished"))
    s3fs.S3FileSystem.clear_instance_cache()
    left = 3
    original = s3fs.S3FileSystem._put_file

    async def failing(self: Any, *paths: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionResetError("cable pulled")
        return await original(self, *paths, **options)

    patched_s3.setattr(s3fs.S3FileSystem, "_put_file", failing)
    with pytest.raises(StoreError, match=r"'k' of scene 'hall 1' .* cable pulled"):
        commit(store)
    patched_s3.undo()
    s3fs.S3FileSystem.clear_instance_cache()

    assert len(keys(client, f"{store.root}/")) == 3
    uri = finished.uri.replace("-finished/", "/")
    with pytest.raises(IntegrityError, match=r"manifest.json is missing"):
        ArrayHandle(uri=uri, kind="k", digest=finished.digest).array("ramp")
    assert commit(store).uri == uri
    ArrayHandle(uri=uri, kind="k", digest=finished.digest).verify()


def test_external_damage_is_detected(store: Store, tiny_objects: None, client: Any) -> None:
    handle = commit(store)
    prefix = handle.uri.removeprefix(f"s3://{BUCKET}/")
    client.delete_object(Bucket=BUCKET, Key=f"{prefix}/noise/c/1/0")
    with pytest.raises(IntegrityError, match=r"noise/c/1/0 is missing"):
        handle.array("noise")
    handle.array("ramp")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/ramp/c/0", Body=b"other bytes")
    with pytest.raises(IntegrityError, match=r"ramp/c/0: expected sha256"):
        handle.array("ramp")
    assert commit(store) == handle
    handle.verify()


def test_writes_of_other_processes_are_visible_immediately(store: Store, client: Any) -> None:
    put(store, "runs/a.json", b"1")
    assert names_in(store, "runs") == ["a.json"]
    prefix = store.root.removeprefix(f"s3://{BUCKET}/")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/runs/b.json", Body=b"new")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/runs/a.json", Body=b"longer than it was")
    assert get(store, "runs/b.json") == b"new"
    assert get(store, "runs/a.json") == b"longer than it was"
    assert names_in(store, "runs") == ["a.json", "b.json"]
    client.delete_object(Bucket=BUCKET, Key=f"{prefix}/runs/a.json")
    assert names_in(store, "runs") == ["b.json"]
    with pytest.raises(FileNotFoundError):
        get(store, "runs/a.json")


def test_tables_work_on_an_object_store(store: Store) -> None:
    for psnr_db in (10.0, 20.0):
        row = {"stage": "splat", "view": "a.jpg", "psnr_db": psnr_db}
        write_rows(store, "views", run="r", scene="001", rows=[row])
    write_rows(store, "views", run="r", scene="b", rows=[row])
    assert names_in(store, "metrics/views") == ["r,001.parquet", "r,b.parquet"]
    found = read_table(store, "views", run="r")
    assert found[["scene", "psnr_db"]].values.tolist() == [["001", 20.0], ["b", 20.0]]


def test_a_writable_store_passes_the_check_and_stays_empty(store: Store, client: Any) -> None:
    store.check_writable()
    assert keys(client, f"{store.root}/") == []
    assert remove_abandoned_staging(store) == 0


def test_a_missing_bucket_is_a_store_error(client: Any) -> None:
    store = Store(root="s3://no-such-bucket/store")
    with pytest.raises(StoreError, match=r"no-such-bucket/store cannot be written"):
        store.check_writable()
    with pytest.raises(StoreError, match=r"could not be written to s3://no-such-bucket"):
        commit(store)


def test_large_multipart_objects_are_read_back(store: Store) -> None:
    """s3fs sends what is larger than 50 MiB in parts."""
    noise = np.random.default_rng(0).integers(0, 255, 60 << 20, np.uint8)
    handle = store.commit("s", "k", [NamedArray(name="x", values=noise, dims=("i",))], {})
    np.testing.assert_array_equal(handle.array("x"), noise)
