"""Committed content is read back by the store and by plain readers; equal content is kept once."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from math import prod
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from storage import store as arrays
from storage.errors import UndefinedNumbersError
from storage.handles import ArrayHandle
from storage.store import NamedArray, Store, layout

DTYPES = ("bool", "uint8", "uint16", "int32", "int64", "float16", "float32", "float64", "complex64")
AXES = ("a", "b", "c", "d")


def named(name: str, values: np.ndarray, *dims: str) -> NamedArray:
    return NamedArray(name=name, values=values, dims=dims or AXES[: values.ndim])


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


any_array = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(
        dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)
    )
)


@settings(max_examples=40)
@given(first=any_array, second=any_array, chunk=st.sampled_from([1, 64, 1 << 20]))
def test_any_array_is_read_back_with_its_type_shape_and_bytes(
    first: np.ndarray, second: np.ndarray, chunk: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK_BYTES", chunk)
        patch.setattr(arrays, "SHARD_BYTES", 4 * chunk)
        both = [replace(named("x", first), may_be_nan=True)]
        both.append(replace(named("y", second), may_be_nan=True))
        handle = Store(root=folder).commit("s", "k", both, {})
        for name, values in (("x", first), ("y", second)):
            found = handle.array(name)
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            assert found.tobytes() == values.tobytes()
            assert found.flags.writeable


def test_arrays_in_other_memory_orders_are_read_back(store: Store) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    views = {"transposed": values.T, "stepped": values[:, ::2], "big_endian": values.astype(">f8")}
    handle = store.commit("s", "k", (named(name, view) for name, view in views.items()), {})
    for name, view in views.items():
        np.testing.assert_array_equal(handle.array(name), view)


def test_a_large_array_is_packed_into_few_objects(store: Store, tiny_objects: None) -> None:
    values = np.random.default_rng(0).integers(0, 255, (100, 32), np.uint8)
    handle = store.commit("s", "k", [named("x", values)], {})
    objects = files_under(Path(handle.uri) / "x" / "c")
    assert len(objects) == 13  # 3200 bytes in shards of 8 rows
    np.testing.assert_array_equal(handle.array("x"), values)


@given(
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5000),
    itemsize=st.sampled_from([1, 2, 4, 8]),
)
def test_chunks_are_bounded_and_shards_are_whole_chunks(
    shape: tuple[int, ...], itemsize: int
) -> None:
    chunks, shards = layout(shape, itemsize)
    assert prod(chunks) * itemsize <= arrays.CHUNK_BYTES or chunks[0] == 1
    if shards is None:
        assert chunks == tuple(max(1, extent) for extent in shape)
    else:
        assert shards[0] % chunks[0] == 0
        assert shards[1:] == chunks[1:]
        assert prod(shards) * itemsize <= arrays.SHARD_BYTES or shards[0] == 1
        assert shards[0] < shape[0] + chunks[0]


def photos_and_poses() -> Iterator[NamedArray]:
    """Photos of two sizes, as cameras give them when some are held upright."""
    yield named("photo_0", np.arange(18, dtype=np.uint8).reshape(2, 3, 3), "y", "x", "channel")
    yield named("photo_1", np.zeros((3, 2, 3), np.uint8), "y", "x", "channel")
    yield named("camera_from_world", np.tile(np.eye(4), (2, 1, 1)), "camera", "row", "column")
    yield named("unit", np.array(0.5, np.float32))


def test_plain_zarr_reads_arrays_attributes_and_axes(store: Store) -> None:
    handle = store.commit("s", "photos", photos_and_poses(), {"names": ["a", "b"]})
    group = zarr.open_group(handle.uri, mode="r")
    assert dict(group.attrs) == {"names": ["a", "b"]}
    assert sorted(group) == ["camera_from_world", "photo_0", "photo_1", "unit"]
    assert group["photo_0"].metadata.dimension_names == ("y", "x", "channel")
    np.testing.assert_array_equal(group["photo_0"][...].ravel(), np.arange(18))


def test_xarray_opens_an_artefact_whose_photos_differ_in_size(store: Store) -> None:
    handle = store.commit("s", "photos", photos_and_poses(), {"names": ["a", "b"]})
    with xarray.open_zarr(handle.uri, consolidated=False) as dataset:
        assert dataset.attrs["names"] == ["a", "b"]
        assert dataset["photo_0"].dims == ("y", "x", "channel")
        assert dataset["photo_1"].dims == ("y_3", "x_2", "channel")
        assert dataset["photo_1"].dtype == np.uint8  # zeros are values, not missing
        assert dataset["camera_from_world"].sizes == {"camera": 2, "row": 4, "column": 4}
        np.testing.assert_array_equal(dataset["photo_1"], np.zeros((3, 2, 3)))
        assert dataset["unit"].item() == 0.5


def test_a_handle_is_the_sha256_of_the_stored_content(store: Store) -> None:
    handle = store.commit("s", "photos", photos_and_poses(), {})
    folder = Path(handle.uri)
    content = (folder / "manifest.json").read_bytes()
    assert sha256(content).hexdigest() == handle.digest
    assert folder == Path(store.root) / "scenes/s/photos" / f"{handle.digest[:16]}.zarr"
    listed = json.loads(content)["objects"]
    stored = {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in files_under(folder)
        if path.name != "manifest.json"
    }
    assert listed == stored


def test_a_writer_takes_arrays_one_at_a_time_and_attributes_last(store: Store) -> None:
    with store.writer("s", "k") as out:
        for number in range(3):
            out.add(f"x{number}", np.full(2, number), ("i",))
        handle = out.commit({"last": number})
    assert handle.attributes == {"last": 2}
    assert [handle.array(f"x{number}").tolist() for number in range(3)] == [[0, 0], [1, 1], [2, 2]]


def test_an_artefact_that_is_not_committed_leaves_nothing(store: Store) -> None:
    with store.writer("s", "k") as out:
        out.add("x", np.zeros(2), ("i",))
    assert [path for path in Path(store.root).rglob("*") if path.is_file()] == []


def test_attributes_keep_nested_values_unicode_and_unequal_numbers(store: Store) -> None:
    attributes = {"é": [1, 2.5, None, True, {"b": "日本", "a": []}], "large": 2**60 + 1}
    assert store.commit("s", "k", [], attributes).attributes == attributes


def test_an_unknown_array_is_a_key_error(store: Store) -> None:
    handle = store.commit("s", "k", [named("means", np.ones(2))], {})
    with pytest.raises(KeyError, match="no array 'mean'"):
        handle.array("mean")


def test_a_stage_error_is_reraised_unchanged_and_leaves_no_artefact(store: Store) -> None:
    def broken() -> Iterator[NamedArray]:
        yield named("x", np.ones(3))
        raise TimeoutError("the stage's own")

    with pytest.raises(TimeoutError, match="the stage's own"):
        store.commit("s", "k", broken(), {})
    assert files_under(Path(store.root)) == []


def test_equal_content_is_stored_once(store: Store) -> None:
    values = np.arange(6.0)
    first = store.commit("s", "k", [named("x", values)], {"a": 1, "b": {"c": 2, "d": 3}})
    second = store.commit("s", "k", [named("x", values.copy())], {"b": {"d": 3, "c": 2}, "a": 1})
    assert first == second
    assert len(list((Path(store.root) / "scenes/s/k").iterdir())) == 1
    assert list((Path(store.root) / "staging").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "values", "attributes", "kind"),
    [
        ("x", [1.0, 2.0, 4.0], {"a": 1}, "k"),
        ("x", [1.0, 2.0, 3.0], {"a": 2}, "k"),
        ("y", [1.0, 2.0, 3.0], {"a": 1}, "k"),
        ("x", [1.0, 2.0, 3.0], {"a": 1}, "other"),
    ],
)
def test_other_content_has_another_digest(
    store: Store, name: str, values: list[float], attributes: dict[str, int], kind: str
) -> None:
    first = store.commit("s", "k", [named("x", np.array([1.0, 2.0, 3.0]))], {"a": 1})
    second = store.commit("s", kind, [named(name, np.array(values))], attributes)
    assert first.digest != second.digest


@pytest.mark.parametrize("name", ["a b", "..", "-rf", "日本/../x", "q" * 300, "100%"])
def test_no_scene_name_leads_out_of_its_folder(store: Store, name: str) -> None:
    handle = store.commit(name, "k", [named("x", np.ones(2))], {})
    relative = Path(os.path.realpath(handle.uri)).relative_to(Path(store.root) / "scenes")
    assert len(relative.parts) == 3
    handle.verify()


@pytest.mark.parametrize("folder", ["with space", "a::b", "star*[x]?", "100%25 #", "é"])
def test_a_store_may_be_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    store = Store(root=str(tmp_path / folder))
    handle = store.commit("s", "k", [named("x", np.arange(3))], {"a": 1})
    assert handle.array("x").tolist() == [0, 1, 2]
    assert Path(handle.uri).is_relative_to(tmp_path / folder)


def test_a_file_url_is_accepted_as_a_directory(tmp_path: Path) -> None:
    handle = Store(root=f"file://{tmp_path}/store/").commit("s", "k", [named("x", np.ones(2))], {})
    assert handle.array("x").tolist() == [1, 1]
    assert handle.uri.startswith(f"file://{tmp_path}/store/scenes/")
    assert (tmp_path / "store/scenes/s/k").is_dir()


def commit_at_once(root: str, barrier: Barrier, numbers: list[int]) -> None:
    for number in numbers:
        barrier.wait(timeout=60)
        Store(root=root).commit("s", "k", [named("x", np.full((50, 50), number))], {})


def test_processes_that_commit_equal_content_concurrently_agree_and_repair_it(store: Store) -> None:
    numbers = list(range(6))
    handles = [
        store.commit("s", "k", [named("x", np.full((50, 50), number))], {}) for number in numbers
    ]
    for handle in handles[:3]:  # those start damaged, the others missing
        (Path(handle.uri) / "zarr.json").write_bytes(b"{}")
    for handle in handles[3:]:
        Path(handle.uri).rename(Path(store.root) / handle.digest)

    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    writers = [
        context.Process(target=commit_at_once, args=(store.root, barrier, numbers))
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    for number, handle in zip(numbers, handles, strict=True):
        assert (handle.array("x") == number).all()
    assert len(list((Path(store.root) / "scenes/s/k").iterdir())) == len(numbers)
    assert list((Path(store.root) / "staging").iterdir()) == []


def test_handles_with_equal_fields_are_equal_and_hashable(store: Store) -> None:
    handle = store.commit("s", "k", [named("x", np.ones(2))], {})
    same = ArrayHandle(uri=handle.uri, kind=handle.kind, digest=handle.digest)
    assert same == handle
    assert {same: 1}[handle] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_no_artefact_holds_numbers_that_are_none(store: Store, bad: float, kind: type) -> None:
    values = np.array([0.5, bad, 2.0], kind)
    with (
        pytest.raises(UndefinedNumbersError, match=r"1 of the 3 numbers 'x' of the ramp of scene"),
        store.writer("hall", "ramp") as out,
    ):
        out.add("x", values, ("i",))
    scores = NamedArray(name="x", values=values, dims=("i",), may_be_nan=True)
    assert np.array_equal(
        store.commit("hall", "ramp", [scores], {}).array("x"), values, equal_nan=True
    )
