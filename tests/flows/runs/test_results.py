"""The artefacts of a run: all of them by scene, and the splat that a scene shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flows.config import STAGES
from flows.runs.record import RunRecord, save_run
from flows.runs.results import artefacts_of, artefacts_with, selected_splat
from flows.stages.pipeline import SceneArtefacts
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.store import Store
from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.splat.artefact import arrays_of
from tasks.splat.task import ENSEMBLE, SPLAT
from tasks.splat.train.per_photo import PerPhotoFit
from tasks.splat.train.trainer import Curve, Fitted
from tests.support.stored_runs import commit

RECORD = RunRecord(
    run="one",
    dataset="/photos",
    only=(),
    scenes=("attic", "hall"),
    config={},
    created_at="2024-01-01T00:00:00+00:00",
)


def fitted(count: int) -> Fitted:
    gaussians = Gaussians(
        means=torch.zeros(count, 3),
        quats=torch.ones(count, 4),
        log_scales=torch.zeros(count, 3),
        logit_opacities=torch.zeros(count),
        sh=torch.zeros(count, 1, 3),
    )
    loss = np.ones(1, dtype=np.float32)
    return Fitted(
        gaussians=gaussians,
        curve=Curve(iteration=np.array([1]), loss=loss, gaussians=np.array([count]), score=loss),
        per_photo=PerPhotoFit(),
    )


NO_BACKGROUND = {"num_background": 0}


def splat(store: Store, kind: str, count: int, **attributes: Any) -> ArrayHandle:
    return store.commit("attic", kind, arrays_of(fitted(count)), NO_BACKGROUND | attributes)


def test_without_distillation_the_fitted_splat_is_selected(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    assert len(selected_splat(SceneArtefacts(splat=splat(store, "splat", 1)))) == 1


@pytest.mark.parametrize(("selected", "count"), [("control", 2), ("distilled", 3)])
def test_after_distillation_the_validation_photos_select(
    tmp_path: Path, selected: str, count: int
) -> None:
    store = Store(root=str(tmp_path))
    artefacts = SceneArtefacts(
        splat=splat(store, "splat", 1),
        control=splat(store, "control", 2),
        distilled=splat(store, "distilled", 3, selected=selected),
    )
    assert len(selected_splat(artefacts)) == count


def test_the_results_of_a_run_map_every_artefact(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    save_run(store, RECORD)
    made = [commit(store, "attic", stage.artefact, 1.0) for stage in STAGES]
    members = [commit(store, "attic", "ensemble", value) for value in (2.0, 3.0)]
    rows = [
        {"stage": name, "uri": handle.uri, "digest": handle.digest}
        for name, handle in zip(
            [*(stage.name for stage in STAGES), "ensemble", "ensemble"],
            [*made, *members],
            strict=True,
        )
    ]
    write_rows(store, "stages", run="one", scene="attic", rows=rows)

    found = artefacts_of(store, RECORD)

    assert set(found["attic"]) == {*made, *members}
    assert set(found["attic"].ensemble) == {made[STAGES.index(ENSEMBLE)], *members}
    assert list(found["hall"]) == []
    assert list(artefacts_with(store, "one", (), ENSEMBLE)) == ["attic"]
    with pytest.raises(InputError, match="'hall' of run 'one' has not finished the stage splat"):
        artefacts_with(store, "one", ("hall",), SPLAT)
