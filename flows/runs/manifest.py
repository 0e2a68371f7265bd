"""Scenes of a dataset: a folder of scene folders, or a YAML or CSV manifest."""

import csv
import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.config import SceneConfig
from flows.runs.passed_over import MANIFESTS, why_no_scene
from flows.runs.settable import refuse_fields_of_the_owner
from storage.errors import UnseenError
from storage.names import check_name
from tasks.config import check_names, nearest, overridden, read_yaml
from tasks.errors import InputError
from tasks.ingest.containment import is_inside
from tasks.ingest.folder import SCENE_FOLDERS
from tasks.ingest.listing import camera_folders
from tasks.ingest.source import find_files

FIELDS = frozenset({"folder", "name", "priority", "config"})
"""Of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEntry:
    """One scene of a dataset; an invalid one carries its error."""

    name: str
    folder: str
    config: SceneConfig
    priority: int = 0
    """Scenes of higher priority run first."""
    error: UnseenError | None = None


def find_scenes(
    dataset: Path,
    base: SceneConfig,
    only: Collection[str] = (),
    *,
    roots: Sequence[Path] = (),
) -> tuple[SceneEntry, ...]:
    """The scenes of a dataset in the order in which they run: by priority, then by name.

    Invalid scenes carry their error.

    Args:
        dataset: a folder whose sub-folders are scenes (but for those that
            :func:`.passed_over.passed_over` names), a folder with a ``dataset.yaml`` or
            ``dataset.csv``, or such a file: ``scenes`` with ``folder``, optional ``name`` and
            ``priority`` and, in YAML, ``config`` (fields of :class:`SceneConfig` that differ for
            that scene and that a dataset may set, see :class:`tasks.config.SetBy`).
        only: names of the scenes to take; empty for all.
        roots: folders outside the dataset's that links, ``..`` and absolute entries may lead to.

    Raises:
        InputError: the dataset does not exist, has no scenes, is a single scene, or lacks one of
            ``only``.
    """
    try:
        rows = _rows(dataset, roots)
    except OSError as error:
        raise InputError(f"'{dataset}' cannot be read ({error.strerror}); check it") from error
    entries = [
        _entry(row, number, dataset, base, roots) for number, row in enumerate(rows, start=1)
    ]
    if not entries:
        raise InputError(
            f"'{dataset}' holds no scenes, so there is nothing to do; give a folder with one "
            "sub-folder of photos for each scene, or a manifest"
        )
    check_names(only, {entry.name for entry in entries}, where=f"'{dataset}'", kind="scene")
    if only:
        entries = [entry for entry in entries if entry.name in only]
    return tuple(sorted(_without_double_names(entries), key=lambda one: (-one.priority, one.name)))


def _rows(dataset: Path, roots: Sequence[Path]) -> Sequence[Mapping[str, Any]]:
    if dataset.is_dir():
        for name in MANIFESTS:
            if (dataset / name).is_file():
                _refuse_link_out(dataset, name, roots)
                return _rows(dataset / name, roots)
        return _scene_folders(dataset)
    if not dataset.exists():
        raise InputError(
            f"'{dataset}' does not exist; give a folder of scene folders or a manifest"
        )
    suffix = dataset.suffix.lower()
    if suffix == ".csv":
        return _csv_rows(dataset)
    if suffix in (".yaml", ".yml"):
        content = read_yaml(dataset)
        scenes = content.get("scenes") if isinstance(content, Mapping) else None
        if isinstance(scenes, list) and all(isinstance(row, Mapping) for row in scenes):
            check_names(
                {str(key) for key in content}, {"scenes"}, where=f"'{dataset}'", kind="place for"
            )
            return scenes
        raise InputError(
            f"'{dataset}' has no list 'scenes' of entries with 'folder' and 'name'; write "
            "'scenes: [{folder: attic}, {folder: house/2024, name: front}]'"
        )
    raise InputError(
        f"'{dataset}' is a file of another kind; give a folder of scene folders, a .yaml or a .csv"
    )


def _refuse_link_out(dataset: Path, name: str, roots: Sequence[Path]) -> None:
    """Errors about a manifest repeat parts of it, which might be of any file of the machine."""
    if not is_inside(dataset / name, (dataset, *roots)):
        raise InputError(
            f"the manifest '{name}' in '{dataset}' is a link out of that folder, to "
            f"{(dataset / name).resolve()}, so it is not read; copy it there, name the file itself "
            "in place of the folder, or name the folder that it lies in in UNSEEN_PHOTO_ROOTS"
        )


def _scene_folders(dataset: Path) -> Sequence[Mapping[str, Any]]:
    found = [path for path in dataset.iterdir() if path.is_dir() and not path.name.startswith(".")]
    folders = [path.name for path in found if not why_no_scene(path)]
    parts = SCENE_FOLDERS | {path.name for path in camera_folders(dataset)}
    if set(folders) <= parts and (content := _content(dataset)):
        raise InputError(
            f"'{dataset}' holds {content} itself and no scene folders, so it appears to be one "
            f"scene; use 'unseen scene {shlex.quote(str(dataset))}', or give the folder that it "
            "lies in, or a manifest where its folders are scenes"
        )
    return [{"folder": name} for name in folders]


def _content(folder: Path) -> str:
    """Count of photos or videos of a folder as one scene, in words; empty if it is none."""
    try:
        files = find_files(folder)
    except InputError:
        return ""
    return f"{len(files.videos)} videos" if files.videos else f"{len(files.photos)} photos"


def _csv_rows(file: Path) -> Sequence[Mapping[str, Any]]:
    """Rows with cells stripped of spaces, without empty cells."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.reader(opened, skipinitialspace=True, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"'{file}' is not CSV in UTF-8 ({error}); save it as that") from error
    header = [title.strip() for title in rows[0]] if rows else []
    if "folder" not in header:
        raise InputError(
            f"'{file}' has no column 'folder' in its first line (it has: {', '.join(header)}); "
            "name the columns 'folder', 'name' and 'priority', with commas between them"
        )
    entries = []
    for cells in rows[1:]:
        filled = {
            header[index] if index < len(header) else f"column {index + 1}": cell.strip()
            for index, cell in enumerate(cells)
            if cell.strip()
        }
        if filled:
            entries.append(filled)
    return entries


def folder_of(dataset: Path) -> Path:
    """The folder of a dataset's scenes: its own, or that of its manifest."""
    return dataset if dataset.is_dir() else dataset.parent


def _entry(
    row: Mapping[str, Any],
    number: int,
    dataset: Path,
    base: SceneConfig,
    roots: Sequence[Path],
) -> SceneEntry:
    place = folder_of(dataset)
    folder = str(row.get("folder") or "")
    name = str(row.get("name") or Path(folder).name or f"entry {number}")
    error: UnseenError | None = None
    config, priority = base, 0
    try:
        if unknown := sorted(map(str, set(row) - FIELDS)):
            raise InputError(
                f"the entry '{name}' of {dataset} has unknown fields {unknown}"
                f"{nearest(unknown, FIELDS)}"
            )
        if not folder:
            raise InputError(f"the entry '{name}' of {dataset} has no folder; give it one")
        for field in ("folder", "name"):
            if not isinstance(row.get(field) or "", str):  # YAML takes 001 for the number 1
                raise InputError(
                    f"the {field} {row[field]!r} of an entry of {dataset} is not text; put it in "
                    "quotes"
                )
        if not is_inside(place / folder, (place, *roots)):
            raise InputError(
                f"the folder '{folder}' of scene '{name}' leads to {(place / folder).resolve()}, "
                f"out of {place}, so it is not read; move it there, or name the folder that it "
                "lies in in UNSEEN_PHOTO_ROOTS"
            )
        check_name(name)
        priority = _priority(row.get("priority", 0), name)
        where = f"the config of scene '{name}'"
        refuse_fields_of_the_owner(row.get("config"), SceneConfig, where=where)
        config = overridden(base, row.get("config"), where=where)
    except UnseenError as found:
        error = found
    return SceneEntry(
        name=name,
        folder=str((place / folder).absolute()),
        config=config,
        priority=priority,
        error=error,
    )


def _priority(given: Any, scene: str) -> int:
    try:
        if isinstance(given, int | str) and not isinstance(given, bool):
            return int(given)
    except ValueError:
        pass
    raise InputError(
        f"the priority of scene '{scene}' is {given!r}, not a whole number; write one such as 10; "
        "scenes of higher priority run first"
    )


def _without_double_names(entries: Sequence[SceneEntry]) -> list[SceneEntry]:
    """Refuse all scenes that share a name, which would mix up their results."""
    counts = Counter(entry.name for entry in entries)
    kept = [entry for entry in entries if counts[entry.name] == 1]
    for name, count in counts.items():
        if count > 1:
            folders = [entry.folder for entry in entries if entry.name == name]
            error = InputError(
                f"{count} scenes are named '{name}' ({', '.join(folders)}), so their results would "
                "be mixed up; give each a unique 'name'"
            )
            first = next(entry for entry in entries if entry.name == name)
            kept.append(
                SceneEntry(name=name, folder=first.folder, config=first.config, error=error)
            )
    return kept
