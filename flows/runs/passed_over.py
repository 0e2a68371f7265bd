"""Folders in a dataset that are no scenes, though they stand among them."""

from pathlib import Path

from storage.schema import FOLDERS, MARKER
from tasks.errors import InputError
from tasks.ingest.folder import LITTER, entries_of, is_folder

MANIFESTS = ("dataset.yaml", "dataset.yml", "dataset.csv")
"""Names of manifests, which replace the listing of a dataset's folder."""


def why_no_scene(folder: Path) -> str:
    """Why a folder of a dataset is passed over; empty where it may be a scene."""
    if folder.name.lower() in LITTER:
        return "left by another system"
    if (folder / MARKER).is_file() or all(is_folder(folder / name) for name in FOLDERS):
        return "a store of unseen"
    try:
        return "" if entries_of(folder) else "empty"
    except InputError:  # it may not be listed: that is said when the scene is read
        return ""


def passed_over(dataset: Path) -> str:
    """One line about the folders of a dataset that are no scenes; empty where all are, or a
    manifest names the scenes."""
    if not dataset.is_dir() or any((dataset / name).is_file() for name in MANIFESTS):
        return ""
    found = [(entry.name, why_no_scene(entry)) for entry in entries_of(dataset) if is_folder(entry)]
    named = ", ".join(f"'{name}' ({why})" for name, why in found if why)
    return f"passed over in '{dataset}': {named}" if named else ""
