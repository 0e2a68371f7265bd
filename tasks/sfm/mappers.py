"""COLMAP's mappers on a database of verified pairs.

Runs in the child process, like :mod:`tasks.sfm.worker`.

Sources: Schoenberger and Frahm, Structure-from-Motion Revisited, CVPR 2016 (incremental); Pan et
al., Global Structure-from-Motion Revisited, ECCV 2024 (global).
"""

from collections.abc import Callable
from pathlib import Path

import pycolmap

from tasks.sfm.config import MapperName
from tasks.sfm.exchange import Request

MIN_PHOTOS = 3

OnRegistered = Callable[[int], None]
"""Called with the number of photos in the model."""


def map_photos(
    request: Request, database: Path, mapper: MapperName, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    """All models of the photos that are to be mapped, largest first.

    Args:
        output: new folder, for the models.
    """
    output.mkdir()
    run = _incremental if mapper == "incremental" else _global
    models = run(request, database, output, on_registered)
    return sorted(models, key=lambda model: -model.num_reg_images())


def _incremental(
    request: Request, database: Path, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = request.threads
    options.random_seed = request.config.seed
    options.min_model_size = MIN_PHOTOS
    options.ba_refine_principal_point = request.config.refine_principal_point
    options.extract_colors = False
    options.image_names = [request.photo_name(photo) for photo in request.mapped]
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
        options,
        initial_image_pair_callback=start_model,
        next_image_callback=add_photo,
    )
    return list(models.values())


def _global(
    request: Request, database: Path, output: Path, on_registered: OnRegistered
) -> list[pycolmap.Reconstruction]:
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = request.threads
    options.random_seed = request.config.seed
    options.min_model_size = MIN_PHOTOS
    options.image_names = [request.photo_name(photo) for photo in request.mapped]
    options.mapper.bundle_adjustment.refine_principal_point = request.config.refine_principal_point
    models = pycolmap.global_mapping(str(database), str(request.photo_folder), str(output), options)
    on_registered(max((model.num_reg_images() for model in models.values()), default=0))
    return list(models.values())
