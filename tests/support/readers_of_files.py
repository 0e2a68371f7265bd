"""Readers of tables that know nothing of us: they list the files of a folder and read each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pandas as pd

Rows = Mapping[tuple[str, str], tuple[int, float, float]]
"""Number of rows, least and largest PSNR, by run and scene."""


def by_duckdb(pattern: str) -> Rows:
    if not _files(pattern):
        return {}
    query = f"SELECT run, scene, count(*), min(psnr_db), max(psnr_db) FROM '{pattern}' GROUP BY ALL"
    return {
        (run, scene): (n, low, high) for run, scene, n, low, high in duckdb.sql(query).fetchall()
    }


def by_pandas(pattern: str) -> Rows:
    frames = [pd.read_parquet(file) for file in _files(pattern)]
    if not frames:
        return {}
    groups = pd.concat(frames).groupby(["run", "scene"])["psnr_db"]
    return {key: (len(own), own.min(), own.max()) for key, own in groups}


def _files(pattern: str) -> Sequence[Path]:
    folder, names = pattern.rsplit("/", 1)
    return list(Path(folder).glob(names))
