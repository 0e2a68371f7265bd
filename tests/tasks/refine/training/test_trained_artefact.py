"""A trained refiner through the store."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.store import Store
from tasks.refine.training.artefact import arrays_of, attributes_of, read_trained
from tasks.refine.training.trained import CurvePoint, TrainedRefiner, ValidationScore

POINTS = st.builds(CurvePoint, step=st.integers(1, 10**9), loss=st.floats(0, 1e3))
SCORES = st.builds(
    ValidationScore,
    step=st.integers(1, 10**9),
    scene=st.text(),
    views=st.integers(1, 1000),
    gain_db=st.floats(-50, 50),
    share_worse=st.floats(0, 1),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    content=st.binary(min_size=1, max_size=5000),
    curve=st.lists(POINTS, max_size=5),
    scores=st.lists(SCORES, max_size=5),
)
def test_a_trained_refiner_is_read_back_unchanged(
    tmp_path: Path, content: bytes, curve: list[CurvePoint], scores: list[ValidationScore]
) -> None:
    learnt = TrainedRefiner(content=content, curve=tuple(curve), scores=tuple(scores))
    stored = Store(root=str(tmp_path)).commit(
        "refiner", "refiner", arrays_of(learnt), attributes_of(learnt)
    )
    found = read_trained(stored)
    assert (found.content, found.curve, found.scores) == (
        learnt.content,
        learnt.curve,
        learnt.scores,
    )
