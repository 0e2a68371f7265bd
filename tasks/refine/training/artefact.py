"""Layout of a trained refiner in the store.

Arrays: ``file`` (uint8, the bytes of the file with its weights), and the curve: ``curve_step`` and
``curve_loss``. The attributes have the scores on validation scenes. There is no time among them:
equal trainings have equal digests.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from storage.handles import ArrayHandle
from storage.store import NamedArray
from tasks.refine.training.trained import CurvePoint, TrainedRefiner, ValidationScore


def arrays_of(trained: TrainedRefiner) -> Iterator[NamedArray]:
    content = np.frombuffer(trained.content, dtype=np.uint8)
    yield NamedArray(name="file", values=content, dims=("byte",))
    for name, kind in (("step", np.int64), ("loss", np.float64)):
        values = np.array([getattr(point, name) for point in trained.curve], dtype=kind)
        yield NamedArray(name=f"curve_{name}", values=values, dims=("curve_point",))


def attributes_of(trained: TrainedRefiner) -> dict[str, Any]:
    """Attributes beside the arrays, JSON-able."""
    return {"scores": [asdict(score) for score in trained.scores]}


def read_trained(stored: ArrayHandle) -> TrainedRefiner:
    """A stored refiner."""
    columns = (stored.array(f"curve_{name}").tolist() for name in ("step", "loss"))
    return TrainedRefiner(
        content=stored.array("file").tobytes(),
        curve=tuple(CurvePoint(step=step, loss=loss) for step, loss in zip(*columns, strict=True)),
        scores=tuple(ValidationScore(**score) for score in stored.attributes["scores"]),
    )
