"""A scene's figures, from artefacts as the stages commit them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import SceneConfig, StagesConfig
from flows.stages.pipeline import SceneArtefacts
from flows.stages.rows import selection_of, summary_of
from storage.metrics import read_table, write_rows
from storage.store import NamedArray, Store


def test_rejected_views_are_counted_in_the_table(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    nothing = [NamedArray(name="none", values=np.zeros(1, np.uint8), dims=("none",))]
    artefacts = SceneArtefacts(
        photos=store.commit("attic", "photos", nothing, {"photos": ["a", "b"], "rejected": []}),
        refined=store.commit(
            "attic", "refined", nothing, {"names": ["v", "w", "x"], "rejected": ["w"]}
        ),
    )

    row = {"state": "completed", **summary_of(artefacts)}
    write_rows(store, "scenes", run="r", scene="attic", rows=[row])

    found = read_table(store, "scenes")
    assert found["refined_views"].tolist() == [3]
    assert found["refined_views_rejected"].tolist() == [1]


@pytest.mark.parametrize(
    ("training", "stages", "reason"),
    [
        (7, {}, "distillation is skipped above 6 training photos"),
        (4, {"without": ("distil",)}, "nothing was distilled"),
    ],
)
def test_the_table_says_why_the_fitted_splat_is_shown(
    tmp_path: Path, training: int, stages: dict[str, Any], reason: str
) -> None:
    names = [f"{index}.jpg" for index in range(training)]
    splat = Store(root=str(tmp_path)).commit("attic", "splat", [], {"training": names})
    config = SceneConfig(stages=StagesConfig(**stages))
    found = selection_of(SceneArtefacts(splat=splat), config)
    assert found == {"selected": "splat", "selected_because": reason}
