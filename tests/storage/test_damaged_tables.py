"""A damaged table is named and never read as another one."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import parquet
from storage.errors import IntegrityError
from storage.metrics import read_table, remove_damaged_rows, table_faults, write_rows
from storage.store import Store

ROWS = [
    {"stage": "splat", "view": f"{number}.jpg", "psnr_db": 20.0 + number, "ssim": None}
    for number in range(5)
]


@pytest.fixture
def written(store: Store) -> Path:
    write_rows(store, "views", run="r", scene="a", rows=ROWS)
    return Path(store.root) / "metrics/views/r,a.parquet"


def test_a_flipped_bit_anywhere_is_detected_or_changes_no_row(store: Store, written: Path) -> None:
    whole = written.read_bytes()
    expected = pq.read_table(written)
    found = 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        try:
            rows = parquet.from_bytes(bytes(flipped), "views")
        except IntegrityError:
            found += 1
            continue
        assert rows.equals(expected)  # such as a bit of the name that the sha256 stands under
    assert found > 0.95 * len(whole)


@pytest.mark.parametrize("kept", [0, 4, 100, -9, -1])
def test_a_truncated_table_is_named_with_the_remedy(store: Store, written: Path, kept: int) -> None:
    written.write_bytes(written.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match=r"metrics/views/r,a.parquet .* delete it, then"):
        read_table(store, "views", run="r")


def test_a_damaged_table_does_not_block_tables_of_other_runs(store: Store, written: Path) -> None:
    written.write_bytes(b"PAR1")
    write_rows(store, "views", run="other", scene="a", rows=ROWS)
    assert len(read_table(store, "views", run="other")) == len(ROWS)


def test_damaged_rows_of_one_scene_are_removed_and_other_rows_kept(
    store: Store, written: Path
) -> None:
    write_rows(store, "views", run="r", scene="b", rows=ROWS)
    write_rows(store, "scenes", run="r", scene="a", rows=[{"state": "completed"}])
    written.write_bytes(written.read_bytes()[:-9])
    assert remove_damaged_rows(store, "r", ["a", "b"]) == {"a": ["views"]}
    assert remove_damaged_rows(store, "r", ["a", "b"]) == {}
    assert set(read_table(store, "views")["scene"]) == {"b"}
    assert set(read_table(store, "scenes")["scene"]) == {"a"}


def test_a_file_that_other_tools_wrote_is_checked_by_reading_it(
    store: Store, written: Path
) -> None:
    pq.write_table(pq.read_table(written).replace_schema_metadata(None), written)
    assert list(table_faults(store)) == []
    written.write_bytes(written.read_bytes()[:-9])
    (fault,) = table_faults(store)
    assert "metrics/views/r,a.parquet" in str(fault)


def test_a_file_of_several_scenes_in_a_table_is_a_fault(store: Store, written: Path) -> None:
    written.with_name("r.parquet").write_bytes(written.read_bytes())
    assert len(read_table(store, "views")) == len(ROWS)
    (fault,) = table_faults(store)
    assert "metrics/views/r.parquet is no file of a scene" in str(fault)


def test_texts_that_resemble_the_sha256_of_the_file_are_read_back() -> None:
    texts = ["unseen.sha256: " + "0" * 64, "unseen.sha256: " + "f" * 64]
    rows = pa.table({"text": texts})
    assert parquet.from_bytes(parquet.to_bytes(rows), "x")["text"].to_pylist() == texts


def test_equal_rows_give_equal_bytes() -> None:
    assert parquet.to_bytes(pa.table({"x": [1]})) == parquet.to_bytes(pa.table({"x": [1]}))
