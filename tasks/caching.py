"""What every stage's task shares: the cache key, refused hits, retries and progress."""

import contextlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.serializers import JSONSerializer
from prefect.tasks import Task
from prefect.utilities.callables import get_call_parameters
from pydantic import BaseModel, Field

from storage.errors import StoreError, UnseenError
from storage.files import get, remove
from storage.handles import ArrayHandle
from storage.store import Store
from tasks.errors import MachineError
from tasks.ingest.source import Source
from tasks.runtime.context import Progress, Site
from tasks.runtime.progress import progress_line
from tasks.runtime.time_left import TimeLeft, in_words


def stage_cache(
    name: str, *, version: int, numbers_depend_on_device: bool = False
) -> dict[str, Any]:
    """Options of ``@task`` for a stage: its key, the verifying serialiser, its retries.

    Args:
        name: the stage, dotted where a stage has parts.
        version: raised by hand when the numbers change.
        numbers_depend_on_device: cpu and cuda are then cached apart.
    """

    def key(context: TaskRunContext | None, parameters: dict[str, Any]) -> str:
        found = stage_key(name, version, parameters, device_counts=numbers_depend_on_device)
        # Prefect reads the record next, and would unpickle it if the record says so.
        if isinstance(site := parameters.get("site"), Site):
            remove_foreign_record(site.store, found)
        return found

    return {
        "cache_policy": CachePolicy.from_cache_key_fn(key),
        "persist_result": True,
        "result_serializer": VerifiedSerializer(),
        "retries": 2,
        "retry_delay_seconds": [2, 10],
        "retry_condition_fn": is_fault_of_the_machine,
    }


def stage_key(
    name: str, version: int, parameters: Mapping[str, Any], *, device_counts: bool
) -> str:
    """The cache key: stage, version, every parameter; artefacts by digest, configs by value.

    Raises:
        TypeError: a parameter of a kind that has no stable value (Prefect logs it, and the stage
            runs without a cache).
    """
    parts: dict[str, Any] = {"stage": name, "version": version}
    for parameter, value in parameters.items():
        if isinstance(value, Site):
            if device_counts:
                parts["device"] = value.device
        else:
            parts[f"parameter {parameter}"] = _key_part(value)
    digest = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest}"


def running_stage_key() -> str | None:
    """The cache key of the stage that this thread runs; None where Prefect runs none."""
    context = TaskRunContext.get()
    if context is None or not isinstance(context.task.cache_policy, CachePolicy):
        return None
    return context.task.cache_policy.compute_key(context, context.parameters, {})


def key_of(stage: Task[..., ArrayHandle], *inputs: Any, **parameters: Any) -> str | None:
    """The cache key under which a stage would run with these arguments; None where it has none."""
    if not isinstance(stage.cache_policy, CachePolicy):
        return None
    arguments = get_call_parameters(stage.fn, inputs, parameters)
    return stage.cache_policy.compute_key(None, arguments, {})  # type: ignore[arg-type]


def _key_part(value: Any) -> Any:
    if isinstance(value, ArrayHandle):
        return {"kind": value.kind, "digest": value.digest}
    if isinstance(value, Source):
        return value.digest
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [_key_part(item) for item in value]
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
    """The handle in the record of a finished stage, its artefact unseen.

    Raises:
        ValueError: it is damaged, or no record that :func:`stage_cache` has Prefect write.
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
    """What a stage of this key has made, its artefact unseen; None where there is no record.

    Raises:
        StoreError: the store cannot be reached.
    """
    try:
        return handle_in_record(get(store, f"{RECORDS}/{key}"))
    except (FileNotFoundError, ValueError):
        return None


def remove_foreign_record(store: Store, key: str) -> None:
    """Delete the record of a stage if somebody else wrote it, so that the stage runs again.

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


def is_fault_of_the_machine(task: Task[..., Any], run: TaskRun, state: State) -> bool:
    """Whether trying again may help: it may for machines, never for inputs or for our mistakes."""
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


def log_notes(notes: Iterable[str]) -> None:
    """Tell in the log of the running stage what somebody who looks at its result should know."""
    for note in notes:
        get_run_logger().warning(note)


SECONDS_BETWEEN_UPDATES = 1.5


def stage_progress(stage: str) -> Progress:
    """Progress of the running stage, in Prefect's UI and in the terminal if there is one.

    The time left stands before what is being done. What goes wrong with telling is not the
    stage's business.
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
