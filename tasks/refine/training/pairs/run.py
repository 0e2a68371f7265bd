"""The pairs stage."""

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.refine.training.pairs.artefact import write_pairs
from tasks.refine.training.pairs.config import PairsConfig
from tasks.refine.training.pairs.draw import seed_of
from tasks.refine.training.pairs.mine import mine
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.sfm.artefact import Sparse
from tasks.splat.training_photos import PosedPhotos


def run(out: Writer, context: Context, *, sparse: ArrayHandle, config: PairsConfig) -> ArrayHandle:
    """Mine training pairs from a scene; see :func:`tasks.refine.training.pairs.mine.mine`."""
    limit_threads(context.threads)
    stored = Sparse(sparse)
    posed = PosedPhotos(
        cameras=stored.cameras,
        observations=stored.observations,
        photos=stored.photos,
        masks=stored.masks,
    )
    mined = mine(posed, config, seed=seed_of(out.scene), context=context)
    return out.commit(write_pairs(out, out.scene, mined))
