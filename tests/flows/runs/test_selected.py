"""Which of a scene's splats is shown, on artefacts as the stages commit them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flows.runs.selected import selected_splat
from storage.handles import ArrayHandle
from storage.store import Store
from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.splat.artefact import arrays_of
from tasks.splat.train.per_photo import OfPhotos
from tasks.splat.train.trainer import Curve, Fitted


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
        photos=OfPhotos(),
    )


@pytest.fixture
def artefacts(tmp_path: Path) -> dict[str, ArrayHandle]:
    store = Store(root=str(tmp_path))
    return {"splat": store.commit("attic", "splat", arrays_of(fitted(1)), {"num_background": 0})}


def test_without_distillation_the_fitted_splat_ships(artefacts: dict[str, ArrayHandle]) -> None:
    assert len(selected_splat(artefacts)) == 1


@pytest.mark.parametrize(("selected", "count"), [("control", 2), ("distilled", 3)])
def test_after_distillation_the_guard_has_chosen(
    artefacts: dict[str, ArrayHandle], tmp_path: Path, selected: str, count: int
) -> None:
    store, plain = Store(root=str(tmp_path)), {"num_background": 0}
    control = store.commit("attic", "control", arrays_of(fitted(2)), plain)
    distilled = store.commit(
        "attic", "distilled", arrays_of(fitted(3)), {"selected": selected, **plain}
    )
    assert len(selected_splat({**artefacts, "control": control, "distil": distilled})) == count


def test_a_run_of_before_the_control_was_a_stage_is_named(
    artefacts: dict[str, ArrayHandle], tmp_path: Path
) -> None:
    store, attributes = Store(root=str(tmp_path)), {"selected": "control", "num_background": 0}
    distilled = store.commit("attic", "distilled", arrays_of(fitted(3)), attributes)
    with pytest.raises(InputError, match=r"attic.*'unseen resume --scenes'"):
        selected_splat({**artefacts, "distil": distilled})
