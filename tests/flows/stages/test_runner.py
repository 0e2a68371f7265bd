"""One stage of a scene, started where the server has much else to do."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from prefect import Task
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.logging import disable_run_logger
from prefect.states import Completed

from flows.config import SceneConfig, overridden
from flows.scene import run_stages
from flows.stages import runner as stages
from flows.stages.runner import StageRunner
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.caching import key_of
from tasks.refine.config import RefineConfig, Reproject
from tasks.runtime.context import Site
from tasks.views.config import ViewsConfig

UNTIL_REFINE = {"until": "refine", "without": ["ensemble"]}
"""Siblings are asked for by what is in the artefact of a splat."""
HANDLE = ArrayHandle(uri="nowhere", kind="photos", digest="0" * 64)


class Refused:
    """A stage that Prefect does not let begin at first, because its server does not answer."""

    name = "ingest"
    tags = frozenset({"first"})

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0
        self.worn: list[str] = []

    def with_options(self, *, tags: list[str], **_: Any) -> "Refused":
        self.worn = tags
        return self

    def __call__(self, *_: Any, return_state: bool, **__: Any) -> State[ArrayHandle]:
        assert return_state
        self.asked += 1
        if self.asked <= self.times:
            raise ConcurrencySlotAcquisitionError("503 Service Unavailable")
        return Completed(data=HANDLE)


def run(stage: Refused, folder: Path) -> ArrayHandle:
    runner = StageRunner(
        site=Site(store=Store(root=str(folder))), run="one", scene="hall", on_timeout=print
    )
    with disable_run_logger():
        return runner(stage)  # type: ignore[arg-type]


def test_a_stage_begins_when_the_server_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SECONDS_BETWEEN_STARTS", 0.0)
    refused = Refused(times=2)
    assert run(refused, tmp_path) == HANDLE
    assert refused.asked == 3
    assert set(refused.worn) == {"first", "stage:ingest"}
    rows = read_table(Store(root=str(tmp_path)), "stages", run="one")
    assert rows["state"].tolist() == ["completed"]
    assert rows["attempt"].tolist() == [1]


def test_a_server_that_never_answers_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SECONDS_BETWEEN_STARTS", 0.0)
    monkeypatch.setattr(stages, "SECONDS_OF_PATIENCE", 0.5)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="503"):
        run(Refused(times=10**9), tmp_path)


def refine_key(folder: Path, changes: dict[str, Any]) -> str | None:
    """That the stage has in a scene whose artefacts are what they are, whatever made them."""
    config = overridden(SceneConfig(), {"stages": UNTIL_REFINE} | changes, where="it")
    keys: dict[str, str | None] = {}

    def look_up(
        stage: Task[..., ArrayHandle], *inputs: ArrayHandle, **parameters: Any
    ) -> ArrayHandle:
        site = Site(store=Store(root=str(folder / "store")))
        keys[stage.name] = key_of(stage, "hall", *inputs, site=site, **parameters)
        return ArrayHandle(uri="nowhere", kind=stage.name, digest=64 * stage.name[0])

    run_stages(look_up, str(folder), config, ())
    return keys["refine"]


def test_a_refinement_depends_on_the_splat_only_where_views_are_drawn_together(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    (tmp_path / "small.safetensors").write_bytes(b"weights")
    weights = {"kind": "small", "file": "small.safetensors"}
    alone = {"refine": {"refiner": {"kind": "controlnet", "weights": weights}}}
    joint = {"refine": {"refiner": {**alone["refine"]["refiner"], "joint": {}}}}
    other = {"refine": {"refiner": {**alone["refine"]["refiner"], "joint": {"steps": 5}}}}
    longer = {"splat": {"iterations": 5}}

    assert refine_key(tmp_path, alone) == refine_key(tmp_path, alone | longer)
    keys = [refine_key(tmp_path, one) for one in (alone, joint, other, joint | longer)]
    assert None not in keys
    assert len(set(keys)) == 4


def test_the_key_of_a_refinement_of_single_views_holds_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    parts = {
        "stage": "refine",
        "version": 5,
        "device": "cpu",
        "parameter scene": "hall",
        "parameter sparse": {"kind": "sfm", "digest": 64 * "s"},
        "parameter views": {"kind": "views", "digest": 64 * "v"},
        "parameter ensemble": [],
        "parameter views_config": ViewsConfig().model_dump(mode="json"),
        "parameter weights": None,
        "parameter config": RefineConfig(refiner=Reproject()).model_dump(mode="json"),
    }
    digest = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    changes = {"refine": {"refiner": {"kind": "reproject"}}}
    assert refine_key(tmp_path, changes) == f"refine-{digest}"


@pytest.mark.parametrize(("photos", "ensemble"), [(4, 3), (9, 0)])
def test_siblings_of_few_photos_are_stages_of_their_own_that_views_are_repaired_by(
    tmp_path: Path, photos: int, ensemble: int
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    site = Site(store=Store(root=str(tmp_path / "store")))
    names = [f"{index}.jpg" for index in range(photos)]
    splat = site.store.commit("hall", "splat", [], {"training": names})
    keys: list[tuple[str, str | None]] = []
    seen: dict[str, Any] = {}

    def look_up(
        stage: Task[..., ArrayHandle], *inputs: ArrayHandle, **parameters: Any
    ) -> ArrayHandle:
        keys.append((stage.name, key_of(stage, "hall", *inputs, site=site, **parameters)))
        seen[stage.name] = parameters
        digest = sha256(str(keys[-1]).encode()).hexdigest()
        return splat if stage.name == "splat" else replace(HANDLE, kind=stage.name, digest=digest)

    made = run_stages(look_up, str(tmp_path), SceneConfig(), ())

    own = {key for name, key in keys if name == "ensemble"}
    assert len(own) == ensemble
    assert None not in own
    assert not own & {key for name, key in keys if name == "splat"}
    for stage in ("refine", "evaluate"):
        assert [one.kind for one in seen[stage]["ensemble"]] == ["ensemble"] * ensemble
    assert set(made) >= {"splat", "views", "refined", "control", "distilled", "evaluation"}
