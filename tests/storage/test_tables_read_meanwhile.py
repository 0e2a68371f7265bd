"""Tables are right at every instant, for readers that know nothing of us, while scenes write."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from storage.metrics import read_table, remove_damaged_rows, write_rows
from storage.store import Store
from tests.support.every_instant import at_every_instant
from tests.support.readers_of_files import Rows, by_duckdb, by_pandas

REPOSITORY = Path(__file__).parents[2]
ROUNDS, SCENES = 12, 4

READER = """
import json, sys
from tests.support.readers_of_files import by_duckdb, by_pandas

read = {"duckdb": by_duckdb, "pandas": by_pandas}[sys.argv[1]]
while True:
    rows = read(sys.argv[2])
    print(json.dumps({scene: list(map(float, found)) for (_, scene), found in rows.items()}))
    sys.stdout.flush()
"""


def write_views(store: Store, run: str, scene: str, *, rows: int, psnr_db: float) -> None:
    """Rows of equal PSNR, so that two writings mixed up are told from one."""
    views = [{"stage": "splat", "view": str(row), "psnr_db": psnr_db} for row in range(rows)]
    write_rows(store, "views", run=run, scene=scene, rows=views)


def write_some_again(store: Store) -> None:
    """Two runs; a scene is run again with fewer rows, another with more, and both runs end."""
    write_views(store, "r", "a", rows=3, psnr_db=1.0)
    write_views(store, "r", "b", rows=2, psnr_db=2.0)
    write_views(store, "q", "a", rows=5, psnr_db=3.0)
    write_views(store, "r", "a", rows=1, psnr_db=4.0)
    assert not remove_damaged_rows(store, "r", ["a", "b"])
    write_views(store, "r", "b", rows=6, psnr_db=5.0)
    for run in ("r", "q"):
        assert not remove_damaged_rows(store, run, ["a", "b"])


IN_TURN = {
    ("r", "a"): [(3, 1.0, 1.0), (1, 4.0, 4.0)],
    ("r", "b"): [(2, 2.0, 2.0), (6, 5.0, 5.0)],
    ("q", "a"): [(5, 3.0, 3.0)],
}


@pytest.mark.parametrize("read", [by_duckdb, by_pandas])
def test_a_reader_has_the_rows_of_one_writing_at_every_instant(
    store: Store, read: Callable[[str], Rows]
) -> None:
    seen: dict[tuple[str, str], list[tuple[int, float, float] | None]] = defaultdict(lambda: [None])
    pattern = f"{store.root}/metrics/views/*.parquet"

    def look(_: str) -> None:
        rows = read(pattern)
        for key in IN_TURN:
            if seen[key][-1] != rows.get(key):
                seen[key].append(rows.get(key))

    with at_every_instant(look):
        write_some_again(store)

    # None, then one writing after the other: none is left out, comes back, or is seen beside one.
    assert seen == {key: [None, *writings] for key, writings in IN_TURN.items()}


def test_what_is_listed_at_an_instant_can_be_read_at_any_later_one(store: Store) -> None:
    listed: set[Path] = set()
    instants = 0

    def look(_: str) -> None:
        nonlocal instants
        instants += 1
        listed.update(Path(store.root).glob("metrics/views/*.parquet"))
        for file in listed:
            pd.read_parquet(file)

    with at_every_instant(look):
        write_some_again(store)
    assert len(listed) == len(IN_TURN)
    assert instants > 20


def test_readers_in_other_processes_have_the_rows_of_each_scene_once(store: Store) -> None:
    for scene in range(SCENES):
        write_views(store, "r", str(scene), rows=10, psnr_db=0.0)
    right = [[10.0, number, number] for number in range(ROUNDS + 1)]
    with ExitStack() as stack:
        readers = []
        for name in ("duckdb", "pandas"):
            words = [sys.executable, "-c", READER, name, f"{store.root}/metrics/views/*.parquet"]
            reader = stack.enter_context(
                subprocess.Popen(
                    words,
                    env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(reader.kill)
            readers.append(reader)
        for number in range(1, ROUNDS + 1):
            for scene in range(SCENES):
                write_views(store, "r", str(scene), rows=10, psnr_db=float(number))
            remove_damaged_rows(store, "r", map(str, range(SCENES)))
            for reader in readers:  # which has read meanwhile, and goes on
                assert reader.stdout is not None
                said = json.loads(reader.stdout.readline())
                assert said.keys() == set(map(str, range(SCENES)))
                assert all(found in right for found in said.values()), said
    assert len(read_table(store, "views")) == SCENES * 10
