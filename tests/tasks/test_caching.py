"""The cache and the retries, under Prefect itself: what is computed is counted in a file."""

import base64
import bz2
import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State
from prefect.results import ResultRecord

from storage.handles import ArrayHandle
from storage.store import NamedArray, Store
from tasks import caching
from tasks.caching import stage_key, stage_progress, stage_task
from tasks.runtime import progress as progress_line
from tasks.runtime.context import Device, Machine
from tasks.source import Source
from tasks.stage import Stage
from tests.support.ramp_stages import (
    DOUBLE,
    ERRORS,
    FAIL,
    MEASURE,
    MEASURE_ON,
    REPORT_HALF,
    SizeConfig,
    computed,
)

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted to send logs"),
]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(store=Store(root=str(tmp_path / "store")))


def calls(machine: Machine) -> int:
    """How often a stage was computed."""
    return computed(machine.store.root)


def commit(machine: Machine, value: float, size: int) -> ArrayHandle:
    values = NamedArray(name="x", values=np.full(size, value), dims=("i",))
    return machine.store.commit("hall", "ramp", [values], {})


def run(stage: Stage, machine: Machine, **inputs: Any) -> State[Any]:
    """As the flow of a scene runs it, but without waiting before it tries again."""
    assert machine.store.local is not None
    storage = machine.store.local / "cache"
    prepared = stage_task(stage).with_options(result_storage=storage, retry_delay_seconds=0)
    state: State[Any] = prepared("hall", inputs, machine, return_state=True)
    return state


def test_the_second_call_is_cached_and_not_computed(machine: Machine) -> None:
    first = run(MEASURE, machine, config=SizeConfig())
    second = run(MEASURE, machine, config=SizeConfig())
    assert (first.name, second.name) == ("Completed", "Cached")
    assert first.result() == second.result()
    assert isinstance(second.result(), ArrayHandle)
    assert second.result().array("x").tolist() == [1, 1, 1]
    assert calls(machine) == 1


def test_a_changed_config_recomputes_and_the_old_result_stays_cached(machine: Machine) -> None:
    run(MEASURE, machine, config=SizeConfig())
    assert run(MEASURE, machine, config=SizeConfig(size=4)).name == "Completed"
    assert run(MEASURE, machine, config=SizeConfig(size=3)).name == "Cached"
    assert calls(machine) == 2


def test_a_changed_version_recomputes(machine: Machine) -> None:
    run(MEASURE, machine, config=SizeConfig())
    assert run(replace(MEASURE, version=2), machine, config=SizeConfig()).name == "Completed"
    assert calls(machine) == 2


def test_another_upstream_digest_recomputes_and_an_equal_one_does_not(machine: Machine) -> None:
    one, other = commit(machine, 1.0, 3), commit(machine, 5.0, 3)
    assert run(DOUBLE, machine, upstream=one).name == "Completed"
    assert run(DOUBLE, machine, upstream=commit(machine, 1.0, 3)).name == "Cached"
    assert run(DOUBLE, machine, upstream=other).name == "Completed"
    assert run(DOUBLE, machine, upstream=other).result().array("x")[0] == 10


def test_the_key_includes_the_device_where_it_changes_numbers(machine: Machine) -> None:
    on_cuda = replace(machine, device="cuda")
    for stage, expected in ((MEASURE_ON, "Completed"), (MEASURE, "Cached")):
        run(stage, machine, config=SizeConfig())
        assert run(stage, on_cuda, config=SizeConfig()).name == expected


def test_the_key_does_not_depend_on_the_number_of_threads(machine: Machine) -> None:
    run(MEASURE_ON, machine, config=SizeConfig())
    assert run(MEASURE_ON, replace(machine, threads=7), config=SizeConfig()).name == "Cached"


def delete_artefact(folder: Path) -> None:
    shutil.rmtree(folder)


def delete_chunk(folder: Path) -> None:
    (folder / "x/c/0").unlink()


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "x/c/0").read_bytes())
    content[-1] ^= 1
    (folder / "x/c/0").write_bytes(content)


def delete_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [delete_artefact, delete_chunk, flip_a_bit, delete_manifest])
def test_a_hit_whose_artefact_is_damaged_is_recomputed(
    machine: Machine, damage: Callable[[Path], None]
) -> None:
    first = run(MEASURE, machine, config=SizeConfig()).result()
    damage(Path(first.uri))
    state = run(MEASURE, machine, config=SizeConfig())
    assert state.name == "Completed"
    assert state.result() == first
    assert state.result().array("x").tolist() == [1, 1, 1]
    assert calls(machine) == 2
    assert run(MEASURE, machine, config=SizeConfig()).name == "Cached"


def test_a_truncated_or_foreign_record_is_recomputed(machine: Machine) -> None:
    run(MEASURE, machine, config=SizeConfig())
    (record,) = (path for path in (Path(machine.store.root) / "cache").rglob("*") if path.is_file())
    whole = record.read_text()
    for content in (whole[: len(whole) // 2], "", whole.replace("ArrayHandle", "RenamedHandle")):
        record.write_text(content)
        assert run(MEASURE, machine, config=SizeConfig()).name == "Completed"
    assert run(MEASURE, machine, config=SizeConfig()).name == "Cached"


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def bombs(target: Path, whole: str) -> Iterator[str]:
    """Records that have Prefect, as it comes, make a file when they are read."""
    pickled = base64.encodebytes(pickle.dumps(Bomb(target))).decode()
    yield json.dumps({"metadata": {}, "result": pickled})
    for kind in ("pickle", "compressed/pickle"):
        content = pickled
        if kind != "pickle":
            content = base64.encodebytes(bz2.compress(pickled.encode())).decode()
        yield json.dumps({"metadata": {"serializer": {"type": kind}}, "result": content})
    call = {"__class__": "subprocess.run", "data": {"args": ["touch", str(target)]}}
    record = json.loads(whole)
    yield json.dumps({**record, "result": json.dumps(call)})
    record["metadata"]["serializer"] = {"type": "json"}
    yield json.dumps({**record, "result": json.dumps(call)})
    yield json.dumps({"result": pickled})


def test_no_code_planted_in_a_record_is_executed(machine: Machine, tmp_path: Path) -> None:
    first = run(MEASURE, machine, config=SizeConfig()).result()
    (record,) = (path for path in (Path(machine.store.root) / "cache").rglob("*") if path.is_file())
    target = tmp_path / "made by the bomb"
    went_off = 0
    for number, content in enumerate(bombs(target, record.read_text()), start=1):
        with contextlib.suppress(Exception):  # as Prefect would have read it
            ResultRecord.deserialize(content.encode())
        went_off += target.exists()
        target.unlink(missing_ok=True)

        record.write_text(content)
        state = run(MEASURE, machine, config=SizeConfig())
        assert not target.exists(), content
        assert (state.name, state.result()) == ("Completed", first)
        assert calls(machine) == 1 + number
    assert went_off >= 2  # of those that show that it is worth it
    assert run(MEASURE, machine, config=SizeConfig()).name == "Cached"


@pytest.mark.parametrize("error", ["input", "geometry", "diverged", "damage", "purpose"])
def test_permanent_errors_are_not_retried_and_are_reraised_unchanged(
    machine: Machine, error: str
) -> None:
    state = run(FAIL, machine, error=error, times=9)
    assert state.is_failed()
    assert calls(machine) == 1
    with pytest.raises(type(ERRORS[error]), match=str(ERRORS[error])):
        state.result()


@pytest.mark.parametrize("error", ["bug", "missing attribute", "runtime"])
def test_programming_errors_are_not_retried(machine: Machine, error: str) -> None:
    assert run(FAIL, machine, error=error, times=9).is_failed()
    assert calls(machine) == 1


@pytest.mark.parametrize("error", ["machine", "store", "system", "memory", "device memory"])
def test_machine_errors_are_retried(machine: Machine, error: str) -> None:
    state = run(FAIL, machine, error=error, times=1)
    assert state.is_completed()
    assert state.result().array("x").tolist() == [1, 1, 1]
    assert calls(machine) == 2


def test_a_persistent_machine_error_fails_at_the_third_attempt(machine: Machine) -> None:
    state = run(FAIL, machine, error="machine", times=9)
    assert state.is_failed()
    assert calls(machine) == 3


def test_a_failure_is_not_cached(machine: Machine) -> None:
    assert run(FAIL, machine, error="input", times=1).is_failed()
    assert run(FAIL, machine, error="input", times=1).is_completed()


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_progress_shows_the_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr(caching, "time", SimpleNamespace(monotonic=lambda: now))
    told = stage_progress("timed")
    told(0.2, "starting")
    now = 60.0
    told(0.4, "half way")
    artifact = Artifact.get("progress-timed")
    assert artifact is not None
    assert artifact.description == "30 s left, half way"


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_progress_is_published_under_a_valid_prefect_artifact_key(machine: Machine) -> None:
    told = stage_progress("evaluate.centres")
    told(0.25, "aligning")
    told(1.0, "done")
    artifact = Artifact.get("progress-evaluate-centres")
    assert artifact is not None
    assert artifact.data == 100.0
    assert artifact.description == "done"


def test_a_log_names_the_scene_of_the_progress(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_line, "SECONDS_BETWEEN_LINES", 0.001)
    assert run(REPORT_HALF, machine).is_completed()
    assert "\nreport half/hall: 50% half way\n" in "\n" + capfd.readouterr().err


def test_the_record_of_a_stage_is_named_by_its_key(machine: Machine) -> None:
    run(MEASURE_ON, machine, config=SizeConfig())
    expected = stage_key(MEASURE_ON, "hall", {"config": SizeConfig()}, "cpu")
    assert (Path(machine.store.root) / "cache" / expected).exists()


def test_notes_in_the_attributes_are_logged(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        assert run(REPORT_HALF, machine).is_completed()
    assert "the ramp is short" in caplog.text


SOURCE = Source(folder="/photos/hall", digest="5" * 64)
HANDLE = ArrayHandle(uri="/store/a.zarr", kind="photos", digest="7" * 64)
STAGE = Stage(name="measure", artefact="ramp", version=1, run="nowhere:run")


def key(scene: str = "hall", device: Device = "cpu", stage: Stage = STAGE, **other: Any) -> str:
    inputs = {"source": SOURCE, "photos": HANDLE, "config": SizeConfig(), "share": 0.5}
    return stage_key(stage, scene, {**inputs, **other}, device)


@pytest.mark.parametrize(
    "changed",
    [
        {"stage": replace(STAGE, name="other")},
        {"stage": replace(STAGE, variant="other")},
        {"stage": replace(STAGE, version=2)},
        {"scene": "001"},
        {"source": replace(SOURCE, digest="6" * 64)},
        {"photos": replace(HANDLE, digest="8" * 64)},
        {"photos": replace(HANDLE, kind="sparse")},
        {"photos": None},
        {"config": SizeConfig(size=4)},
        {"share": 0.25},
        {"share": True},
        {"more": None},
        {"photos": (HANDLE,)},
        {"photos": {"a": HANDLE}},
        {"device": "cuda"},
    ],
)
def test_the_key_changes_with_all_that_changes_a_result(changed: dict[str, Any]) -> None:
    assert key(**changed) != key()


@pytest.mark.parametrize(
    "moved",
    [
        {"stage": replace(STAGE, run="elsewhere:run", seconds=5.0)},
        {"source": replace(SOURCE, folder="/elsewhere/hall")},
        {"photos": replace(HANDLE, uri="/elsewhere/a.zarr")},
    ],
)
def test_the_key_does_not_depend_on_storage_locations(moved: dict[str, Any]) -> None:
    assert key(**moved) == key()


def test_the_key_depends_on_every_artefact_of_a_list_and_on_their_order() -> None:
    other = replace(HANDLE, digest="8" * 64)
    many = [(HANDLE,), (HANDLE, other), (other, HANDLE), (other,), ()]
    assert len({key(photos=handles) for handles in many}) == len(many)
    assert key(photos=(HANDLE, other)) == key(photos=(replace(HANDLE, uri="/else"), other))


@pytest.mark.parametrize("value", [np.ones(3), Path("photos"), object(), [HANDLE], b"x"])
def test_a_parameter_without_a_stable_value_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no place in a cache key"):
        key(extra=value)


def test_the_key_is_the_same_in_every_process() -> None:
    script = """
from storage.handles import ArrayHandle
from tasks.caching import stage_key
from tasks.splat.config import SplatConfig
from tasks.splat.task import SPLAT
handle = ArrayHandle(uri="u", kind="photos", digest="7")
inputs = {"p": handle, "config": SplatConfig()}
print(stage_key(SPLAT, "h", inputs, "cpu"))
print(stage_key(SPLAT, "h", dict(reversed(inputs.items())), "cpu"))
"""
    printed = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert len({key for keys in printed for key in keys}) == 1
