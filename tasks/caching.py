"""The Prefect task of a stage: its cache key, verified hits, retries and progress."""

import contextlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.serializers import JSONSerializer
from prefect.tasks import Task
from pydantic import BaseModel, Field

from storage.errors import StoreError, UnseenError
from storage.files import get, remove
from storage.handles import ArrayHandle
from storage.store import Store
from tasks.errors import MachineError
from tasks.runtime.checkpoints import checkpoints_in
from tasks.runtime.context import Context, Device, Machine
from tasks.runtime.progress import Progress, TimeLeft, in_words, progress_line
from tasks.source import Source
from tasks.stage import Stage


@cache
def stage_task(stage: Stage) -> Task[..., ArrayHandle]:
    """Prefect's task of a stage: ``task(scene, inputs, machine)`` gives the handle.

    It has the stage's cache key, refuses a cached handle whose artefact is damaged, and is tried
    again after faults of the machine.
    """

    def key(context: TaskRunContext | None, parameters: dict[str, Any]) -> str:
        machine = parameters["machine"]
        found = stage_key(stage, parameters["scene"], parameters["inputs"], machine.device)
        # Prefect reads the record next, and would unpickle it if the record says so.
        remove_foreign_record(machine.store, found)
        return found

    def run_stage(scene: str, inputs: Mapping[str, Any], machine: Machine) -> ArrayHandle:
        return compute(stage, scene, inputs, machine)

    return task(
        name=stage.name,
        task_run_name=f"{stage.name}/{{scene}}",
        cache_policy=CachePolicy.from_cache_key_fn(key),
        persist_result=True,
        result_serializer=VerifiedSerializer(),
        retries=2,
        retry_delay_seconds=[2, 10],
        retry_condition_fn=is_fault_of_the_machine,
    )(run_stage)


def compute(stage: Stage, scene: str, inputs: Mapping[str, Any], machine: Machine) -> ArrayHandle:
    """Run a stage's function, with progress and checkpoints, whatever is cached.

    Args:
        inputs: keyword arguments of the function: handles, sources, configs and scalars.

    Raises:
        Exception: what the function raises.
    """
    module, name = stage.run.split(":")
    function = getattr(import_module(module), name)
    key = stage_key(stage, scene, inputs, machine.device)
    with checkpoints_in(machine.store, key, machine.checkpoint_seconds) as checkpoints:
        context = Context(
            device=machine.device,
            threads=machine.threads,
            progress=stage_progress(stage.name),
            checkpoints=checkpoints,
            trust=machine.trust,
        )
        with machine.store.writer(scene, stage.artefact) as out:
            handle: ArrayHandle = function(out, context, **inputs)
    for note in handle.attributes.get("notes", ()):
        get_run_logger().warning(note)
    return handle


def stage_key(stage: Stage, scene: str, inputs: Mapping[str, Any], device: Device) -> str:
    """The cache key: scene, stage, its version, those of its libraries, and every input.

    Artefacts count by digest, configs by value.

    Raises:
        TypeError: an input of a kind that has no stable value.
    """
    parts: dict[str, Any] = {"scene": scene, "stage": stage.key, "version": stage.version}
    parts["libraries"] = {name: installed_version(name) for name in stage.libraries}
    if stage.depends_on_device:
        parts["device"] = device
    parts["inputs"] = {name: _key_part(value) for name, value in inputs.items()}
    return f"{stage.key}-{sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


@cache
def installed_version(distribution: str) -> str | None:
    """Version of a library, which is not imported; None where it is not installed.

    Without the local part, which tells builds for CUDA and for the CPU apart: the key has the
    device, and any machine is to find what another has computed.
    """
    try:
        return version(distribution).partition("+")[0]
    except PackageNotFoundError:
        return None


def _key_part(value: Any) -> Any:
    if isinstance(value, ArrayHandle):
        return {"kind": value.kind, "digest": value.digest}
    if isinstance(value, Source):
        return value.digest
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [_key_part(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _key_part(item) for name, item in value.items()}
    if is_dataclass(value):
        return {part.name: _key_part(getattr(value, part.name)) for part in fields(value)}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(
        f"{type(value).__name__} has no place in a cache key: pass handles, configs and scalars"
    )


class VerifiedSerializer(JSONSerializer):
    """Refuses a cached handle whose artefact is gone or damaged; to Prefect that is a miss."""

    type: str = Field(default="unseen-verified", frozen=True)

    def loads(self, blob: bytes) -> ArrayHandle:
        """Not by Prefect's decoder, which imports and calls what the text names.

        Raises:
            ValueError: it is no handle.
            IntegrityError: it is one whose artefact is not as it was.
        """
        handle = _handle(blob)
        handle.verify()
        return handle


RECORDS = "cache"
"""The folder of the store in which Prefect keeps the record of each finished stage, by key."""


def handle_in_record(content: bytes) -> ArrayHandle:
    """The handle in the record of a finished stage, not verified.

    Raises:
        ValueError: the record is damaged, or is none that :func:`stage_task` has Prefect write.
    """
    try:
        record = json.loads(content)
        known = VerifiedSerializer().model_dump(mode="json")
        if record["metadata"]["serializer"] != known:
            raise ValueError("it is written for another serializer")
        return _handle(record["result"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no record of a stage ({error})") from error


def recorded(store: Store, key: str) -> ArrayHandle | None:
    """The handle that a stage of this key gave, not verified; None where there is no record.

    Raises:
        StoreError: the store cannot be reached.
    """
    try:
        return handle_in_record(get(store, f"{RECORDS}/{key}"))
    except (FileNotFoundError, ValueError):
        return None


def remove_foreign_record(store: Store, key: str) -> None:
    """Delete the record of a stage if it is not one of ours, so that the stage runs again.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    place = f"{RECORDS}/{key}"
    with contextlib.suppress(FileNotFoundError):
        content = get(store, place)
        try:
            handle_in_record(content)
        except ValueError:
            remove(store, place)


def _handle(text: str | bytes) -> ArrayHandle:
    """
    Raises:
        ValueError: it is no handle; a class renamed since is none.
    """
    found = json.loads(text)
    match found:
        case {
            "__class__": str(name),
            "data": {"uri": str(uri), "kind": str(kind), "digest": str(digest)},
        } if name == f"{ArrayHandle.__module__}.{ArrayHandle.__qualname__}":
            return ArrayHandle(uri=uri, kind=kind, digest=digest)
    raise ValueError(f"a cached stage gave {str(found)[:80]!r}, not an ArrayHandle")


def is_fault_of_the_machine(stage: Task[..., Any], run: TaskRun, state: State) -> bool:
    """Whether a retry may help: after a fault of the machine, never of the input or of our code."""
    try:
        state.result()
    except (MachineError, StoreError):
        return True
    except UnseenError:
        return False
    except (OSError, MemoryError):
        return True
    except RuntimeError as error:  # torch.OutOfMemoryError is one, and torch is slow to import
        return type(error).__name__ == "OutOfMemoryError"
    except Exception:
        return False
    return False


SECONDS_BETWEEN_UPDATES = 1.5


def stage_progress(stage: str) -> Progress:
    """Progress of the running stage, in Prefect's UI and in the terminal if there is one.

    The time left comes first. Progress that cannot be shown never fails the stage.
    """
    key = f"progress-{stage}".replace(".", "-")  # Prefect takes no dots
    artifact: UUID | None = None
    context = TaskRunContext.get()
    # Of a run, "splat/attic": a worker's log has lines of many scenes.
    show_line = progress_line(stage, in_logs=context.task_run.name if context else None)
    updated_at = -math.inf
    time_left = TimeLeft()

    def report(share: float, doing: str) -> None:
        nonlocal artifact, updated_at
        now = time.monotonic()
        left = time_left.seconds(share, now)
        if left is not None and share < 1.0:
            doing = f"{in_words(left)} left, {doing}"
        show_line(share, doing)
        if now - updated_at < SECONDS_BETWEEN_UPDATES and share < 1.0:
            return
        updated_at = now
        with contextlib.suppress(Exception):
            if artifact is None:
                created = create_progress_artifact(progress=100 * share, key=key, description=doing)
                artifact = created if isinstance(created, UUID) else None
            else:
                update_progress_artifact(artifact, progress=100 * share, description=doing)

    return report
