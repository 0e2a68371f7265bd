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
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prefect import task
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State
from prefect.results import ResultRecord
from prefect.tasks import Task

from storage.errors import IntegrityError, StoreError, UnseenError
from storage.handles import ArrayHandle
from storage.store import NamedArray, Store
from tasks import caching
from tasks.caching import running_stage_key, stage_cache, stage_key, stage_progress
from tasks.config import Config
from tasks.errors import DegenerateGeometryError, InputError, MachineError
from tasks.ingest.source import Source
from tasks.runtime import progress as progress_line
from tasks.runtime.context import Site

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted to send logs"),
]
REPOSITORY = Path(__file__).parents[2]


class SizeConfig(Config):
    size: int = 3


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(store=Store(root=str(tmp_path / "store")))


def count(site: Site) -> int:
    """Adds a line to the file of calls; how many there are."""
    calls = Path(site.store.root).with_name("calls")
    with calls.open("a") as file:
        file.write("x\n")
    return computed(site)


def computed(site: Site) -> int:
    calls = Path(site.store.root).with_name("calls")
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def commit(site: Site, value: float, size: int) -> ArrayHandle:
    values = NamedArray(name="x", values=np.full(size, value), dims=("i",))
    return site.store.commit("hall", "ramp", [values], {})


def measure_once(scene: str, *, config: SizeConfig, site: Site) -> ArrayHandle:
    count(site)
    return commit(site, 1.0, config.size)


def double_once(scene: str, upstream: ArrayHandle, *, site: Site) -> ArrayHandle:
    count(site)
    return commit(site, 2 * upstream.array("x")[0], len(upstream.array("x")))


def fail_once(scene: str, *, error: str, times: int, site: Site) -> ArrayHandle:
    if count(site) <= times:
        raise ERRORS[error]
    return commit(site, 1.0, 3)


measure = task(name="measure", **stage_cache("measure", version=1))(measure_once)
measure_on = task(
    name="measure on", **stage_cache("measure on", version=1, numbers_depend_on_device=True)
)(measure_once)
double = task(name="double", **stage_cache("double", version=1))(double_once)
fail = task(name="fail", **stage_cache("fail", version=1))(fail_once)


class OutOfMemoryError(RuntimeError):
    """Torch's is called so, and is a RuntimeError."""


ERRORS: dict[str, BaseException] = {
    "input": InputError("two photos are too few"),
    "geometry": DegenerateGeometryError("the cameras lie on one line"),
    "damage": IntegrityError("the photos are damaged"),
    "purpose": UnseenError("said no"),
    "bug": ZeroDivisionError("ours"),
    "missing attribute": AttributeError("ours too"),
    "runtime": RuntimeError("not of memory"),
    "machine": MachineError("the worker was killed"),
    "store": StoreError("the disk is full"),
    "system": OSError(5, "Input/output error"),
    "memory": MemoryError(),
    "device memory": OutOfMemoryError("CUDA out of memory"),
}


def run(stage: Task[..., ArrayHandle], site: Site, *inputs: Any, **parameters: Any) -> State[Any]:
    """As the flow of a scene runs it, but without waiting before it tries again."""
    assert site.store.local is not None
    prepared = stage.with_options(result_storage=site.store.local / "cache", retry_delay_seconds=0)
    state: State[Any] = prepared("hall", *inputs, site=site, **parameters, return_state=True)
    return state


def test_the_second_call_is_cached_and_not_computed(site: Site) -> None:
    first = run(measure, site, config=SizeConfig())
    second = run(measure, site, config=SizeConfig())
    assert (first.name, second.name) == ("Completed", "Cached")
    assert first.result() == second.result()
    assert isinstance(second.result(), ArrayHandle)
    assert second.result().array("x").tolist() == [1, 1, 1]
    assert computed(site) == 1


def test_a_changed_config_recomputes_and_the_old_one_is_still_known(site: Site) -> None:
    run(measure, site, config=SizeConfig())
    assert run(measure, site, config=SizeConfig(size=4)).name == "Completed"
    assert run(measure, site, config=SizeConfig(size=3)).name == "Cached"
    assert computed(site) == 2


def test_a_changed_version_recomputes(site: Site) -> None:
    run(measure, site, config=SizeConfig())
    newer = task(name="measure", **stage_cache("measure", version=2))(measure_once)
    assert run(newer, site, config=SizeConfig()).name == "Completed"
    assert computed(site) == 2


def test_another_upstream_digest_recomputes_and_an_equal_one_does_not(site: Site) -> None:
    one, other = commit(site, 1.0, 3), commit(site, 5.0, 3)
    assert run(double, site, one).name == "Completed"
    assert run(double, site, commit(site, 1.0, 3)).name == "Cached"
    assert run(double, site, other).name == "Completed"
    assert run(double, site, other).result().array("x")[0] == 10


def test_the_device_counts_where_it_changes_numbers(site: Site) -> None:
    on_cuda = replace(site, device="cuda")
    for stage, expected in ((measure_on, "Completed"), (measure, "Cached")):
        run(stage, site, config=SizeConfig())
        assert run(stage, on_cuda, config=SizeConfig()).name == expected


def test_threads_do_not_count(site: Site) -> None:
    run(measure_on, site, config=SizeConfig())
    assert run(measure_on, replace(site, threads=7), config=SizeConfig()).name == "Cached"


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
    site: Site, damage: Callable[[Path], None]
) -> None:
    first = run(measure, site, config=SizeConfig()).result()
    damage(Path(first.uri))
    state = run(measure, site, config=SizeConfig())
    assert state.name == "Completed"
    assert state.result() == first
    assert state.result().array("x").tolist() == [1, 1, 1]
    assert computed(site) == 2
    assert run(measure, site, config=SizeConfig()).name == "Cached"


def test_a_record_that_was_cut_off_or_is_of_something_else_is_recomputed(site: Site) -> None:
    run(measure, site, config=SizeConfig())
    (record,) = (path for path in (Path(site.store.root) / "cache").rglob("*") if path.is_file())
    whole = record.read_text()
    for content in (whole[: len(whole) // 2], "", whole.replace("ArrayHandle", "RenamedHandle")):
        record.write_text(content)
        assert run(measure, site, config=SizeConfig()).name == "Completed"
    assert run(measure, site, config=SizeConfig()).name == "Cached"


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


def test_no_record_runs_what_somebody_wrote_into_it(site: Site, tmp_path: Path) -> None:
    first = run(measure, site, config=SizeConfig()).result()
    (record,) = (path for path in (Path(site.store.root) / "cache").rglob("*") if path.is_file())
    target = tmp_path / "made by the bomb"
    went_off = 0
    for number, content in enumerate(bombs(target, record.read_text()), start=1):
        with contextlib.suppress(Exception):  # as Prefect would have read it
            ResultRecord.deserialize(content.encode())
        went_off += target.exists()
        target.unlink(missing_ok=True)

        record.write_text(content)
        state = run(measure, site, config=SizeConfig())
        assert not target.exists(), content
        assert (state.name, state.result()) == ("Completed", first)
        assert computed(site) == 1 + number
    assert went_off >= 2  # of those that show that it is worth it
    assert run(measure, site, config=SizeConfig()).name == "Cached"


@pytest.mark.parametrize("error", ["input", "geometry", "damage", "purpose"])
def test_what_a_retry_cannot_help_is_not_retried_and_comes_out_as_raised(
    site: Site, error: str
) -> None:
    state = run(fail, site, error=error, times=9)
    assert state.is_failed()
    assert computed(site) == 1
    with pytest.raises(type(ERRORS[error]), match=str(ERRORS[error])):
        state.result()


@pytest.mark.parametrize("error", ["bug", "missing attribute", "runtime"])
def test_our_own_mistakes_are_not_retried(site: Site, error: str) -> None:
    assert run(fail, site, error=error, times=9).is_failed()
    assert computed(site) == 1


@pytest.mark.parametrize("error", ["machine", "store", "system", "memory", "device memory"])
def test_faults_of_the_machine_are_retried(site: Site, error: str) -> None:
    state = run(fail, site, error=error, times=1)
    assert state.is_completed()
    assert state.result().array("x").tolist() == [1, 1, 1]
    assert computed(site) == 2


def test_a_machine_that_stays_broken_fails_at_the_third_attempt(site: Site) -> None:
    state = run(fail, site, error="machine", times=9)
    assert state.is_failed()
    assert computed(site) == 3


def test_a_failure_is_not_remembered(site: Site) -> None:
    assert run(fail, site, error="input", times=1).is_failed()
    assert run(fail, site, error="input", times=1).is_completed()


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_progress_says_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_progress_is_told_under_a_name_that_prefect_takes(site: Site) -> None:
    told = stage_progress("evaluate.centres")
    told(0.25, "aligning")
    told(1.0, "done")
    artifact = Artifact.get("progress-evaluate-centres")
    assert artifact is not None
    assert artifact.data == 100.0
    assert artifact.description == "done"


@task(
    name="goes on",
    task_run_name="goes on/{scene}",
    **stage_cache("goes on", version=1),
)
def goes_on(scene: str, *, site: Site) -> ArrayHandle:
    told = stage_progress("goes on")
    time.sleep(0.01)
    told(0.5, "half way")
    return site.store.commit(scene, "key", [], {})


def test_a_log_says_of_which_scene_the_progress_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_line, "SECONDS_BETWEEN_LINES", 0.001)
    assert run(goes_on, site).is_completed()
    assert "\ngoes on/hall: 50% half way\n" in "\n" + capfd.readouterr().err


@task(name="asks for its key", **stage_cache("asks", version=3, numbers_depend_on_device=True))
def asks_for_its_key(scene: str, *, config: SizeConfig, site: Site) -> ArrayHandle:
    key = running_stage_key()
    return site.store.commit("hall", "key", [], {"key": key})


def test_a_stage_knows_the_key_under_which_it_is_cached(site: Site) -> None:
    expected = stage_key(
        "asks",
        3,
        {"scene": "hall", "config": SizeConfig(), "site": site},
        device_counts=True,
    )
    handle = run(asks_for_its_key, site, config=SizeConfig()).result()
    assert handle.attributes["key"] == expected
    assert (Path(site.store.root) / "cache" / expected).exists()
    assert running_stage_key() is None


SOURCE = Source(folder="/photos/hall", digest="5" * 64)
HANDLE = ArrayHandle(uri="/store/a.zarr", kind="photos", digest="7" * 64)
HERE = Site(store=Store(root="/store"))


def key(name: str = "measure", version: int = 1, device_counts: bool = True, **other: Any) -> str:
    parameters = {
        "scene": "hall",
        "source": SOURCE,
        "photos": HANDLE,
        "config": SizeConfig(),
        "site": HERE,
        "share": 0.5,
    }
    return stage_key(name, version, {**parameters, **other}, device_counts=device_counts)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"version": 2},
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
        {"site": replace(HERE, device="cuda")},
    ],
)
def test_the_key_changes_with_all_that_changes_a_result(changed: dict[str, Any]) -> None:
    assert key(**changed) != key()


@pytest.mark.parametrize(
    "moved",
    [
        {"site": replace(HERE, store=Store(root="s3://bucket/store"))},
        {"site": replace(HERE, threads=16)},
        {"site": replace(HERE, checkpoint_seconds=5.0)},
        {"source": replace(SOURCE, folder="/elsewhere/hall")},
        {"photos": replace(HANDLE, uri="/elsewhere/a.zarr")},
    ],
)
def test_the_key_stays_where_only_places_change(moved: dict[str, Any]) -> None:
    assert key(**moved) == key()


def test_every_artefact_of_many_counts_and_their_order() -> None:
    other = replace(HANDLE, digest="8" * 64)
    many = [(HANDLE,), (HANDLE, other), (other, HANDLE), (other,), ()]
    assert len({key(photos=handles) for handles in many}) == len(many)
    assert key(photos=(HANDLE, other)) == key(photos=(replace(HANDLE, uri="/else"), other))


@pytest.mark.parametrize("value", [np.ones(3), Path("photos"), object(), {"a": 1}, [HANDLE], b"x"])
def test_a_parameter_without_a_stable_value_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no place in a cache key"):
        key(extra=value)


def test_the_key_is_the_same_in_every_process() -> None:
    script = """
from storage.handles import ArrayHandle
from storage.store import Store
from tasks.caching import stage_key
from tasks.runtime.context import Site
from tasks.splat.config import SplatConfig
handle = ArrayHandle(uri="u", kind="photos", digest="7")
site = Site(store=Store(root="/store"))
parameters = {"scene": "h", "p": handle, "config": SplatConfig(), "site": site}
print(stage_key("splat", 1, parameters, device_counts=True))
print(stage_key("splat", 1, dict(reversed(parameters.items())), device_counts=True))
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
