"""Faults of single scenes, brought about in the scene's own process.

Python imports this at its start where the folder is on PYTHONPATH. ``FAULTS_ROOT`` names a folder
with the dataset in ``photos``; a file in its ``met`` says that a scene has met its fault, so that
the scene is spared when it is run again. A scene meets the fault of its name, where it has one,
when a stage commits an artefact of the kind that stands with the fault, or saves a checkpoint.
"""

import ctypes
import errno
import gc
import math
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SECONDS_OF_HANGING_STAGE = 8.0
"""Enough to come to where it hangs on a machine that does three scenes on two cores."""
OF_MAPPER = "FAULT_OF_MAPPER"
"""Variable with the scene whose mapper's process is to die."""


def root() -> Path:
    return Path(os.environ["FAULTS_ROOT"])


def met(name: str) -> Path:
    return root() / "met" / name


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def crash(*_: Any) -> None:
    ctypes.string_at(0)


def end_silently(*_: Any) -> None:
    os._exit(0)


def make_a_mistake(*_: Any) -> None:
    raise ZeroDivisionError("a mistake of ours")


def die_before_rename(*_: Any) -> None:
    Path.rename = die  # type: ignore[assignment,method-assign]


def die_after_rename(*_: Any) -> None:
    rename = Path.rename

    def last_rename(self: Path, target: Path) -> None:
        rename(self, target)
        die()

    Path.rename = last_rename  # type: ignore[assignment,method-assign]


def hang(*_: Any) -> None:
    time.sleep(600)


def hang_with_the_interpreter(*_: Any) -> None:
    ctypes.PyDLL(None).sleep(600)  # unlike CDLL it keeps the interpreter's lock


def in_next_stage(hanging: Callable[..., None]) -> Callable[..., None]:
    """With a short limit: that of the whole run would have to suit the other scenes too."""

    def wait_for_it(*_: Any) -> None:
        from flows.stages import limits as time_limit
        from flows.stages.runner import StageRunner
        from storage.handles import ArrayHandle

        (runner,) = (one for one in gc.get_objects() if isinstance(one, StageRunner))
        runner.limit_seconds = SECONDS_OF_HANGING_STAGE
        time_limit.SECONDS_TO_REPORT = 2.0
        ArrayHandle.array = hanging  # type: ignore[assignment,method-assign]

    return wait_for_it


def exhaust_memory(*_: Any) -> None:
    _, hard = limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
    try:
        bytearray(1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def refuse_large_files(*_: Any) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))


def fill_disk(*_: Any) -> None:
    """As file systems that allocate late tell it."""

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.fsync = no_space


def forbid_writing(scene: str, _: Any) -> None:
    from storage.names import object_name

    folder = root() / "store" / "scenes" / object_name(scene)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o500)
    obey_permissions()


def obey_permissions() -> None:
    """Without this right root may write only where everybody else may."""
    version_3, cap_dac_override = 0x20080522, 1  # linux/capability.h
    header = (ctypes.c_uint32 * 2)(version_3, 0)
    effective_first = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    libc.capget(header, effective_first)
    effective_first[0] &= ~(1 << cap_dac_override)
    libc.capset(header, effective_first)


def remove_photos(scene: str, _: Any) -> None:
    shutil.rmtree(root() / "photos" / scene)


def remove_a_photo(scene: str, _: Any) -> None:
    min((root() / "photos" / scene / "images").iterdir()).unlink()


def set_clock_back(*_: Any) -> None:
    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - timedelta(hours=2)

    from storage import metrics

    metrics.datetime = Earlier  # type: ignore[misc]


def endanger_mapper(scene: str, _: Any) -> None:
    os.environ[OF_MAPPER] = scene


def largest(folder: str) -> Path:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return max(files, key=lambda path: path.stat().st_size)


def flip_byte(_: str, handle: Any) -> None:
    path = largest(handle.uri)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def delete_chunk(_: str, handle: Any) -> None:
    largest(handle.uri).unlink()


def damage_rows(scene: str, _: Any) -> None:
    """Those that the scene has written so far; then it dies, and writes no others."""
    from storage.names import object_name

    tables = root() / "store" / "metrics"
    (rows,) = (tables / "stages").glob(f"*,{object_name(scene)}.parquet")
    os.truncate(rows, rows.stat().st_size // 2)
    (tables / "scenes").mkdir(exist_ok=True)
    shutil.copy(rows, tables / "scenes")
    die()


def lose_the_fit(_: str, state: Any) -> None:
    """The optimisation goes on with the tensors of the state that it has just saved."""
    state.parameters["sh0"].fill_(math.nan)


def ancestor(word: str) -> int:
    import psutil

    above = psutil.Process().parents()
    return next(one.pid for one in above if word in one.cmdline())


def kill_worker(*_: Any) -> None:
    os.kill(ancestor("worker"), signal.SIGKILL)
    time.sleep(600)  # the worker takes us along


def kill_run(*_: Any) -> None:
    os.kill(ancestor("run"), signal.SIGKILL)
    time.sleep(600)


def kill_server(*_: Any) -> None:
    pid = (Path(os.environ["PREFECT_HOME"]) / "server.pid").read_text()
    os.kill(int(pid), signal.SIGKILL)


Fault = Callable[[str, Any], None]
"""Called with the scene and, after a commit, with the handle."""

BEFORE: dict[str, tuple[str, Fault]] = {
    "killed": ("photos", die),
    "terminated": ("photos", terminate),
    "ended silently": ("photos", end_silently),
    "mistake": ("photos", make_a_mistake),
    "killed before the commit": ("photos", die_before_rename),
    "killed after the commit": ("photos", die_after_rename),
    "memory": ("photos", exhaust_memory),
    "large files": ("photos", refuse_large_files),
    "full disk": ("photos", fill_disk),
    "read-only folder": ("photos", forbid_writing),
    "vanished photos": ("photos", remove_photos),
    "vanished photo": ("photos", remove_a_photo),
    "clock behind": ("photos", set_clock_back),
    "mapper killed": ("photos", endanger_mapper),
    "mapper crashed": ("photos", endanger_mapper),
    "segfault": ("sparse", crash),
    "damaged record": ("sparse", die),
    "damaged rows": ("sparse", damage_rows),
    "a worker dies": ("photos", kill_worker),
    "b server dies": ("photos", kill_server),
    "c run dies": ("photos", kill_run),
}
AFTER: dict[str, tuple[str, Fault]] = {
    "hang": ("photos", in_next_stage(hang)),
    "native hang": ("photos", in_next_stage(hang_with_the_interpreter)),
    "flipped byte": ("photos", flip_byte),
    "deleted chunk": ("photos", delete_chunk),
}
WHEN_LISTED = ("vanished photos", "vanished photo")
"""Faults that come when the stage has found the files, and has read none."""
AT_CHECKPOINT: dict[str, Fault] = {
    "killed fit": die,
    "damaged checkpoint": die,
    "numbers lost": lose_the_fit,
}
"""Called with the scene and the state that was saved."""


def spared(scene: str) -> bool:
    """Whether the scene has met its fault in an earlier process; a retry meets it again."""
    mark = met(scene)
    if mark.exists() and mark.read_text() != str(os.getpid()):
        return True
    mark.write_text(str(os.getpid()))
    return False


def inject() -> None:
    """Have the commits of this process, which runs a scene, bring its fault about.

    A fault before the photos comes when their stage begins, one before the cameras when these are
    committed.
    """
    from storage.checkpoints import Checkpoint
    from storage.store import Store, Writer

    writer, commit, save = Store.writer, Writer.commit, Checkpoint.save
    running = ""

    def bring_about(faults: dict[str, tuple[str, Fault]], kind: str, handle: Any) -> None:
        place, fault = faults.get(running, ("", die))
        if place == kind and not spared(running):
            fault(running, handle)

    def faulty_writer(self: Any, scene: str, kind: str) -> Any:
        nonlocal running
        running = scene
        if kind == "photos" and scene in WHEN_LISTED:
            from tasks.ingest import artefact

            find_files = artefact.find_files

            def faulty_find(folder: Path) -> Any:
                found = find_files(folder)
                bring_about(BEFORE, kind, None)
                return found

            artefact.find_files = faulty_find
        elif kind == "photos":
            bring_about(BEFORE, kind, None)
        return writer(self, scene, kind)

    def faulty_commit(self: Any, attributes: Any) -> Any:
        if self.kind != "photos":
            bring_about(BEFORE, self.kind, None)
        handle = commit(self, attributes)
        bring_about(AFTER, self.kind, handle)
        return handle

    def faulty_save(self: Any, write: Any) -> None:
        save(self, write)
        if running in AT_CHECKPOINT and not met(running).exists():  # a retry is spared, too
            met(running).write_text(self.key)
            (state,) = write.args
            AT_CHECKPOINT[running](running, state)

    Store.writer = faulty_writer  # type: ignore[method-assign]
    Writer.commit = faulty_commit  # type: ignore[method-assign]
    Checkpoint.save = faulty_save  # type: ignore[method-assign]


if "tasks.sfm.worker" in sys.orig_argv:
    match os.environ.get(OF_MAPPER):
        case "mapper killed":
            die()
        case "mapper crashed" if not met("mapper crashed, child").exists():
            met("mapper crashed, child").touch()
            crash()
elif "FAULTS_ROOT" in os.environ and "prefect.engine" in sys.orig_argv:
    inject()
