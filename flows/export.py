"""What other tools read: cameras, points and undistorted photos of a run's scenes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from flows.artefacts import artefacts_with
from storage.arrays import Store
from storage.handles import ArrayHandle
from tasks.sfm.artefact import Sparse
from tasks.sfm.export.colmap import write_colmap
from tasks.sfm.export.transforms import write_transforms
from tasks.sfm.triangulate import sample_colours

Format = Literal["colmap", "transforms"]


def export_scenes(
    store: Store, run: str | None, scenes: tuple[str, ...], folder: Path, form: Format
) -> Iterator[Path]:
    """Write scenes into folders of their names; each folder once it is written.

    Raises:
        InputError: a scene has no cameras yet, or its folder holds something already.
    """
    for scene, artefacts in artefacts_with(store, run, scenes, "sfm").items():
        yield _exported(artefacts, folder / scene, form)


def _exported(artefacts: Mapping[str, ArrayHandle], folder: Path, form: Format) -> Path:
    sparse, points = Sparse(artefacts["sfm"]), artefacts["sfm"].array("points")
    photos = range(len(sparse.cameras))
    colours = sample_colours(
        sparse.observations, np.arange(len(points)), sparse.photos, photos=photos
    )
    if form == "colmap":
        write_colmap(
            folder,
            sparse.cameras,
            sparse.photos,
            points=points,
            colours=colours,
            observations=sparse.observations,
            masks=sparse.masks,
        )
    else:
        write_transforms(
            folder,
            sparse.cameras,
            sparse.photos,
            points=points,
            colours=colours,
            masks=sparse.masks,
        )
    return folder
