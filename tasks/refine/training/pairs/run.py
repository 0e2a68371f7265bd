"""The pairs stage."""

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.refine.training.pairs.artefact import write_pairs
from tasks.refine.training.pairs.config import PairsConfig
from tasks.refine.training.pairs.draw import seed_of
from tasks.refine.training.pairs.mine import mine
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.splat.training_photos import posed_photos


def run(out: Writer, context: Context, *, sparse: ArrayHandle, config: PairsConfig) -> ArrayHandle:
    """Mine training pairs from a scene; see :func:`tasks.refine.training.pairs.mine.mine`."""
    limit_threads(context.threads)
    mined = mine(posed_photos(sparse), config, seed=seed_of(out.scene), context=context)
    return out.commit(write_pairs(out, out.scene, mined))
