"""Facts of the machine, from the environment: they change where and how fast, never what."""

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.store import Store
from tasks.errors import InputError
from tasks.runtime.context import Device, Machine

_PASSWORD = re.compile(r"://[^/@:]*:[^@]+@")
"""Not up to the first slash: keys of S3 may hold one."""


class Settings(BaseSettings):
    """Read from ``UNSEEN_STORE``, ``UNSEEN_DEVICE``, ``UNSEEN_THREADS``,
    ``UNSEEN_CHECKPOINT_SECONDS``, ``UNSEEN_STAGE_SECONDS`` and ``UNSEEN_PHOTO_ROOTS``.

    Raises:
        InputError: a variable has a value that it cannot have.
    """

    model_config = SettingsConfigDict(env_prefix="UNSEEN_", frozen=True, extra="forbid")

    store: str = Field(
        default="unseen-store",
        min_length=1,
        description="Where results go: a directory, or an fsspec URL such as s3://bucket/path.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes CUDA where torch finds it."
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads of one scene; 0 for all this process may use."
    )

    checkpoint_seconds: float = Field(
        default=30.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds between two checkpoints of a splat that is being fitted; 0 for none.",
    )

    photo_roots: str = Field(
        default="",
        description="Folders, with ':' between them, that links and manifests may lead to.",
    )
    stage_seconds: float = Field(
        default=6 * 3600.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds after which a stage is taken to hang and its scene is ended; 0 for "
        "never.",
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = "; ".join(
                f"UNSEEN_{str(fault['loc'][0]).upper()} is {fault['input']!r}: "
                f"{fault['msg'][0].lower()}{fault['msg'][1:]}"
                for fault in error.errors()
            )
            raise InputError(f"{faults}; set another value, or unset the variable") from error

    def machine(self) -> Machine:
        """The machine these settings describe.

        Raises:
            InputError: CUDA is asked for and torch finds none.
        """
        return Machine(
            store=self.open_store(),
            device=self._device(),
            threads=self.thread_count(),
            checkpoint_seconds=self.checkpoint_seconds,
        )

    def roots(self) -> tuple[Path, ...]:
        """Folders that links in scenes and entries of manifests may lead to."""
        return tuple(Path(root).expanduser() for root in self.photo_roots.split(os.pathsep) if root)

    def open_store(self) -> Store:
        """The store; a directory is made absolute, so that handles mean the same everywhere.

        Raises:
            InputError: its URL holds a password.
        """
        if _PASSWORD.search(self.store):
            raise InputError(
                "the URL of the store (UNSEEN_STORE or --store) holds a password, which tables, "
                "records and logs would repeat; leave it out and give it by variables such as "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in the configuration of fsspec"
            )
        if "://" in self.store:
            return Store(root=self.store.rstrip("/"))
        return Store(root=str(Path(self.store).expanduser().absolute()))

    def thread_count(self) -> int:
        return self.threads or usable_cores()

    def _device(self) -> Device:
        if self.device == "cpu" or (self.device == "auto" and not _may_have_gpu()):
            return "cpu"
        import torch  # late: seconds to import, and only this asks for it

        if torch.cuda.is_available():
            return "cuda"
        if self.device == "cuda":
            raise InputError(
                f"UNSEEN_DEVICE is cuda but torch {torch.__version__} finds no CUDA device; "
                "install a CUDA build of torch (see README) or set UNSEEN_DEVICE to cpu"
            )
        return "cpu"


def _may_have_gpu() -> bool:
    """Whether torch could find a GPU; where there is no driver of one, it need not be asked."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libcuda.so.1")  # what torch looks for itself
    except OSError:
        return Path("/dev/kfd").exists()  # AMD's, which torch calls CUDA too
    return True


def usable_cores() -> int:
    """Cores this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


CORES_A_SCENE = 4
"""Threads that still pay in one scene; more cores than that run more scenes at a time."""


def shared_cores(threads: int, max_concurrent: int) -> tuple[int, int]:
    """Threads of a scene and scenes at a time that fill this machine, where 0 leaves it to us.

    Raises:
        InputError: less than no scenes at a time.
    """
    if max_concurrent < 0:
        raise InputError(
            f"{max_concurrent} scenes cannot run at once; give 1 or more, or 0 to leave it"
        )
    cores = usable_cores()
    max_concurrent = max_concurrent or max(1, cores // (threads or CORES_A_SCENE))
    return threads or max(1, cores // max_concurrent), max_concurrent


def configure_prefect() -> None:
    """Send nothing to anybody, log warnings only, be patient; call before Prefect is imported."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    # Where all cores are busy a server takes longer to start than Prefect's 20 s.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")


def prefect_home() -> Path:
    """Where Prefect keeps its database, and we our locks and logs."""
    from prefect.settings import get_current_settings

    return Path(get_current_settings().home)
