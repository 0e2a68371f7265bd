"""The photos of the best model that are sure, and what can be added to them.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Collection, Iterable, Sequence

import pycolmap

from tasks.sfm.databases import Databases, strict_matches
from tasks.sfm.exchange import Request
from tasks.sfm.judged import Judged, judge, witnessed
from tasks.sfm.localise import localise_photos
from tasks.sfm.mappers import least_photos
from tasks.sfm.pieces import join_pieces


def finish(
    judged: Judged,
    request: Request,
    databases: Databases,
    pieces: Sequence[pycolmap.Reconstruction] = (),
) -> Judged:
    """Take out the photos that are not sure, refine the rest, and try the others against it once:
    as other models place them, then by their matches.

    Where the config keeps doubtful photos, only contradicted ones are taken out. Two photos close
    no cycle, so they cannot be sure: they are kept where their pair supports the model and a
    witness agrees.

    Args:
        pieces: other models of the same pairs.
    """
    doubtful = frozenset(judged.images) - judged.sure
    if request.config.keep_doubtful:
        doubtful = judged.contradicted
    elif len(request.mapped) == 2 and judged.supported and len(judged.witnessed) == 2:
        doubtful = frozenset()
    if doubtful:
        _take_out(judged.model, doubtful)
        is_model = judged.model.num_reg_images() >= least_photos(request)
        if is_model:
            _refine(judged.model, request)
        judged = again(judged, databases)
        if not is_model:
            return judged
    judged = _supported(judged, databases, join_pieces(judged.model, pieces))
    return with_further(judged, request, databases, request.mapped)


def again(judged: Judged, databases: Databases) -> Judged:
    """The judgement of a model that has changed, with the witness that it had."""
    found = judge(judged.model, strict_matches(databases))
    return found if judged.witness is None else witnessed(found, judged.witness)


def _refine(model: pycolmap.Reconstruction, request: Request) -> None:
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = request.config.refine_principal_point
    options.print_summary = False
    options.ceres.solver_options.num_threads = request.threads
    pycolmap.bundle_adjustment(model, options)


def with_further(
    judged: Judged, request: Request, databases: Databases, photos: Sequence[int]
) -> Judged:
    """Localise photos against a model, and keep those that their pairs confirm.

    The witness has no say: it may not have tried to place them.

    Args:
        photos: indices in the request; those that the model has already stay as they are.
    """
    missing = {photo + 1 for photo in photos} - set(judged.images)
    if not missing:
        return judged
    tried = [one - 1 for one in sorted(missing)]
    localised = localise_photos(judged.model, request, tried, databases.strict)
    return _supported(judged, databases, {photo + 1 for photo in localised})


def _supported(judged: Judged, databases: Databases, added: Collection[int]) -> Judged:
    """The judgement of a model that got images, without those of them that no pairs confirm."""
    if not added:
        return judged
    found = again(judged, databases)
    unsupported = set(added) - (found.confirmed - found.contradicted)
    if not unsupported:
        return found
    _take_out(judged.model, unsupported)
    return again(judged, databases)


def _take_out(model: pycolmap.Reconstruction, images: Iterable[int]) -> None:
    for image in sorted(images):
        model.deregister_frame(model.image(image).frame_id)
