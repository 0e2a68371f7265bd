"""A scene's figures, from artefacts as the stages commit them."""

from pathlib import Path

import numpy as np

from flows.stages.pipeline import SceneArtefacts
from flows.stages.rows import summary_of
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
