"""COLMAP's mappers on a database of verified pairs.

Runs in the child process, like :mod:`tasks.sfm.worker`.

Sources: Schoenberger and Frahm, Structure-from-Motion Revisited, CVPR 2016 (incremental); Pan et
al., Global Structure-from-Motion Revisited, ECCV 2024 (global).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import pycolmap

from tasks.sfm.config import MapperName
from tasks.sfm.exchange import Request

MIN_PHOTOS = 3
"""Of a model; of two photos that are mapped alone, two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a mapper starts from."""

    mapper: MapperName
    focal_factor: float = 1.0
    """Times focal lengths that are guesses."""
    more_seed: int = 0
    """Added to that of the config."""


OnRegistered = Callable[[int], None]
"""Called with the number of photos in the model."""


FEW_PHOTOS = 6
"""Of which points that two photos see count, too: three views of one point are rare."""

CLUSTER_PHOTOS = 100
"""At most in one cluster of the hierarchical mapper."""


def least_photos(request: Request) -> int:
    """Of a model."""
    return min(MIN_PHOTOS, len(request.mapped))


def map_photos(
    request: Request, database: Path, start: Start, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    """All models of the photos that are to be mapped, largest first.

    Args:
        output: new folder, for the models.
    """
    output.mkdir()
    seed = request.config.seed + start.more_seed
    run = {"incremental": _incremental, "hierarchical": _hierarchical, "global": _global}
    with scaled_guesses(request, database, start.focal_factor):
        models = run[start.mapper](request, database, seed, output, on_registered)
    return sorted(models, key=lambda model: -model.num_reg_images())


@contextmanager
def scaled_guesses(request: Request, database: Path, factor: float) -> Iterator[None]:
    """The database with its guessed focal lengths times ``factor``; as it was afterwards."""
    opened = pycolmap.Database.open(str(database))
    known = opened.read_all_cameras()
    for camera in known:
        if request.cameras[camera.camera_id - 1].focal_is_guessed:
            scaled = copy(camera)
            for index in camera.focal_length_idxs():
                scaled.params[index] *= factor
            opened.update_camera(scaled)
    opened.close()
    yield
    opened = pycolmap.Database.open(str(database))
    for camera in known:
        opened.update_camera(camera)
    opened.close()


def _incremental_options(request: Request, seed: int) -> pycolmap.IncrementalPipelineOptions:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = request.threads
    options.random_seed = seed
    options.min_model_size = least_photos(request)
    options.ba_refine_principal_point = request.config.refine_principal_point
    options.triangulation.ignore_two_view_tracks = len(request.mapped) > FEW_PHOTOS
    options.extract_colors = False
    options.image_names = [request.photo_name(photo) for photo in request.mapped]
    return options


def _incremental(
    request: Request, database: Path, seed: int, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    registered = furthest = 0

    def start_model() -> None:
        nonlocal registered
        registered = 2

    def add_photo() -> None:
        nonlocal registered, furthest
        registered += 1
        furthest = max(furthest, registered)  # of all the models begun, and never backwards
        on_registered(furthest)

    models = pycolmap.incremental_mapping(
        str(database),
        str(request.photo_folder),
        str(output),
        _incremental_options(request, seed),
        initial_image_pair_callback=start_model,
        next_image_callback=add_photo,
    )
    return list(models.values())


def _hierarchical(
    request: Request, database: Path, seed: int, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    options = pycolmap.HierarchicalPipelineOptions()
    options.num_threads = request.threads
    options.num_workers = 1  # each would load its photos' features
    options.clustering_options.leaf_max_num_images = CLUSTER_PHOTOS
    options.clustering_options.image_overlap = CLUSTER_PHOTOS // 2
    options.incremental_options = _incremental_options(request, seed)
    models = pycolmap.hierarchical_mapping(
        str(database), str(request.photo_folder), str(output), options
    )
    on_registered(max((model.num_reg_images() for model in models.values()), default=0))
    return list(models.values())


def _global(
    request: Request, database: Path, seed: int, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = request.threads
    options.random_seed = seed
    options.min_model_size = least_photos(request)
    options.image_names = [request.photo_name(photo) for photo in request.mapped]
    options.mapper.bundle_adjustment.refine_principal_point = request.config.refine_principal_point
    if len(request.mapped) <= FEW_PHOTOS:
        options.mapper.global_positioning.min_num_view_per_track = 2
        options.mapper.bundle_adjustment.min_track_length = 2
    models = pycolmap.global_mapping(str(database), str(request.photo_folder), str(output), options)
    on_registered(max((model.num_reg_images() for model in models.values()), default=0))
    return list(models.values())
