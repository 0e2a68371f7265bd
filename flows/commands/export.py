"""Export of a run's scenes for other tools: cameras, points and undistorted photos, or splats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from flows.runs.results import artefacts_with, selected_splat
from flows.stages.pipeline import SceneArtefacts
from storage.store import Store
from tasks.sfm.artefact import Sparse
from tasks.sfm.export.colmap import write_colmap
from tasks.sfm.export.transforms import write_transforms
from tasks.sfm.task import SFM
from tasks.sfm.triangulate import sample_colours
from tasks.splat.export.ply import write_ply
from tasks.splat.export.spz import write_spz
from tasks.splat.task import SPLAT

Format = Literal["colmap", "transforms", "ply", "spz"]


def export_scenes(
    store: Store,
    run: str | None,
    scenes: tuple[str, ...],
    folder: Path,
    form: Format,
    *,
    background: bool = False,
) -> Iterator[Path]:
    """Write scenes into folders, or their splats into files, of their names; each once it is there.

    Args:
        background: whether to write the background, a shell of distant Gaussians that hides the
            scene from a viewer outside it.

    Raises:
        InputError: a scene has no cameras, or no splat, yet; its folder holds something already;
            its splat is too large for the format.
        MachineError: it cannot be written.
    """
    if form in ("colmap", "transforms"):
        for scene, artefacts in artefacts_with(store, run, scenes, SFM).items():
            yield _with_cameras(artefacts, folder / scene, form)
        return
    write = write_ply if form == "ply" else write_spz
    for scene, artefacts in artefacts_with(store, run, scenes, SPLAT).items():
        file = folder / f"{scene}.{form}"
        splat = selected_splat(artefacts)
        write(file, splat if background else splat.foreground)
        yield file


def _with_cameras(artefacts: SceneArtefacts, folder: Path, form: Format) -> Path:
    assert artefacts.sparse
    sparse, points = Sparse(artefacts.sparse), artefacts.sparse.array("points")
    colours = sample_colours(sparse.observations, np.arange(len(points)), sparse.photos)
    if form == "colmap":
        write_colmap(
            folder,
            sparse.cameras,
            sparse.photos,
            points=points,
            colours=colours,
            observations=sparse.observations,
            masks=sparse.masks,
            world=artefacts.sparse.attributes["world"],
        )
    else:
        write_transforms(
            folder,
            sparse.cameras,
            sparse.photos,
            points=points,
            colours=colours,
            masks=sparse.masks,
            world=artefacts.sparse.attributes["world"],
        )
    return folder
