"""A dataset's scenes: a folder of scene folders, or a YAML or CSV manifest of them."""

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.config import SceneConfig, overridden, read_yaml
from storage.errors import UnseenError
from storage.names import check_name
from tasks.errors import InputError

MANIFESTS = ("dataset.yaml", "dataset.yml", "dataset.csv")
"""Taken instead of a listing where a dataset's folder has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEntry:
    """One scene of a dataset, or why it cannot be one."""

    name: str
    folder: str
    config: SceneConfig
    error: UnseenError | None = None


def find_scenes(
    dataset: Path, base: SceneConfig, only: Collection[str] = ()
) -> tuple[SceneEntry, ...]:
    """The scenes of a dataset in the order of their names, the bad ones with their error.

    Args:
        dataset: a folder whose sub-folders are scenes, a folder with a ``dataset.yaml`` or
            ``dataset.csv``, or such a file: ``scenes`` with ``folder``, optional ``name`` and, in
            YAML, ``config`` (fields of :class:`SceneConfig` that differ for that scene).
        only: names to take; all where empty.

    Raises:
        InputError: there is no such dataset, it has no scenes, or lacks one of ``only``.
    """
    entries = [_entry(row, dataset, base) for row in _rows(dataset)]
    if not entries:
        raise InputError(
            f"{dataset} holds no scene folders, so there is nothing to do; give a folder with one "
            "sub-folder of photos for each scene, or a manifest"
        )
    if unknown := sorted(set(only) - {entry.name for entry in entries}):
        known = ", ".join(sorted({entry.name for entry in entries}))
        raise InputError(f"{dataset} has no scene {', '.join(map(repr, unknown))}; it has: {known}")
    if only:
        entries = [entry for entry in entries if entry.name in only]
    return tuple(sorted(_without_double_names(entries), key=lambda entry: entry.name))


def _rows(dataset: Path) -> Sequence[Mapping[str, Any]]:
    if dataset.is_dir():
        for name in MANIFESTS:
            if (dataset / name).is_file():
                return _rows(dataset / name)
        folders = [path for path in dataset.iterdir() if path.is_dir()]
        return [{"folder": path.name} for path in folders if not path.name.startswith(".")]
    if not dataset.exists():
        raise InputError(f"{dataset} does not exist; give a folder of scene folders or a manifest")
    if dataset.suffix == ".csv":
        with dataset.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    if dataset.suffix in (".yaml", ".yml"):
        content = read_yaml(dataset)
        scenes = content.get("scenes") if isinstance(content, Mapping) else None
        if isinstance(scenes, list) and all(isinstance(row, Mapping) for row in scenes):
            return scenes
        raise InputError(f"{dataset} has no list 'scenes' of entries with 'folder' and 'name'")
    raise InputError(
        f"{dataset} is a file of another kind; give a folder of scene folders, a .yaml or a .csv"
    )


def _entry(row: Mapping[str, Any], dataset: Path, base: SceneConfig) -> SceneEntry:
    place = dataset if dataset.is_dir() else dataset.parent
    folder = str(row.get("folder") or "")
    name = str(row.get("name") or Path(folder).name)
    error: UnseenError | None = None
    config = base
    try:
        if not folder:
            raise InputError(f"the entry '{name}' of {dataset} has no folder; give it one")
        if unknown := set(row) - {"folder", "name", "config"}:
            raise InputError(
                f"the entry '{name}' of {dataset} has unknown fields {sorted(map(str, unknown))}; "
                "known are folder, name and config"
            )
        check_name(name)
        config = overridden(base, row.get("config"), where=f"scene '{name}'")
    except UnseenError as found:
        error = found
    return SceneEntry(
        name=name, folder=str((place / folder).absolute()), config=config, error=error
    )


def _without_double_names(entries: Sequence[SceneEntry]) -> list[SceneEntry]:
    """Scenes of one name are all refused: no one can say whose results the name would stand for."""
    counts = Counter(entry.name for entry in entries)
    kept = [entry for entry in entries if counts[entry.name] == 1]
    for name, count in counts.items():
        if count > 1:
            folders = [entry.folder for entry in entries if entry.name == name]
            error = InputError(
                f"{count} scenes are named '{name}' ({', '.join(folders)}), so their results could "
                "not be told apart; give each a 'name' of its own"
            )
            first = next(entry for entry in entries if entry.name == name)
            kept.append(
                SceneEntry(name=name, folder=first.folder, config=first.config, error=error)
            )
    return kept
