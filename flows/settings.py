"""Settings of the machine, from the environment: where results lie and how fast they come."""

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
from tasks.runtime.trust import Trust, listed

_PASSWORD = re.compile(r"://[^/@:]*:[^@]+@")
"""Not up to the first slash: keys of S3 may hold one."""


class Settings(BaseSettings):
    """Read from ``UNSEEN_STORE``, ``UNSEEN_DEVICE``, ``UNSEEN_THREADS``,
    ``UNSEEN_CHECKPOINT_SECONDS``, ``UNSEEN_STAGE_SECONDS``, ``UNSEEN_PHOTO_ROOTS``,
    ``UNSEEN_LPIPS_BACKBONE``, ``UNSEEN_MODELS`` and ``UNSEEN_TRUSTED_CODE``.

    Raises:
        InputError: a variable has an invalid value.
    """

    model_config = SettingsConfigDict(env_prefix="UNSEEN_", frozen=True, extra="forbid")

    store: str = Field(
        default="unseen-store",
        min_length=1,
        description="Store of results: a directory, or an fsspec URL such as s3://bucket/path.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Device; auto is CUDA if torch finds a device, else the CPU."
    )
    threads: int = Field(
        default=0, ge=0, description="Number of CPU threads per scene; 0 for all usable cores."
    )

    checkpoint_seconds: float = Field(
        default=30.0,
        ge=0,
        allow_inf_nan=False,
        description="Interval between checkpoints of a long stage, s; 0 disables them.",
    )

    photo_roots: str = Field(
        default="",
        description="Folders outside a dataset that its links and manifest may lead to, separated "
        "by ':'.",
    )
    stage_seconds: float = Field(
        default=6 * 3600.0,
        ge=0,
        allow_inf_nan=False,
        description="Time limit of one stage, s, after which its scene is ended; 0 for none.",
    )

    lpips_backbone: str = Field(
        default="",
        description="Torchvision's file of AlexNet's or VGG-16's weights, for LPIPS; empty for "
        "that in torch's cache, if there is one.",
    )
    models: str = Field(
        default="",
        description="Models of others that may be loaded, as weights: owner/name@commit on the "
        "hub, or folders from / on, separated by ','.",
    )
    trusted_code: str = Field(
        default="",
        description="Models and pipelines whose own Python code may be run, written as in "
        "UNSEEN_MODELS.",
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
            InputError: the device is cuda and torch finds none, or the trust is badly written.
        """
        return Machine(
            store=self.open_store(),
            device=self._device(),
            threads=self.thread_count(),
            checkpoint_seconds=self.checkpoint_seconds,
            trust=self.trust(),
        )

    def roots(self) -> tuple[Path, ...]:
        """Folders outside a dataset that links and manifest entries may lead to."""
        return tuple(Path(root).expanduser() for root in self.photo_roots.split(os.pathsep) if root)

    def lpips_file(self) -> Path | None:
        """The backbone of LPIPS that is named."""
        return Path(self.lpips_backbone).expanduser() if self.lpips_backbone else None

    def trust(self) -> Trust:
        """Trust of the machine's owner in models of others.

        Raises:
            InputError: an entry is neither a hub id with a commit nor a folder.
        """
        return Trust(
            models=listed(self.models, "UNSEEN_MODELS or --models"),
            code=listed(self.trusted_code, "UNSEEN_TRUSTED_CODE or --trusted-code"),
        )

    def passed_on(self) -> dict[str, str]:
        """Variables for a scene's process on whatever machine runs it. Trust is that machine's own:
        its worker hands it on."""
        return {
            f"UNSEEN_{name.upper()}": str(value)
            for name, value in self.model_dump(exclude={"models", "trusted_code"}).items()
        }

    def open_store(self) -> Store:
        """The store; a directory as an absolute path, so that handles are valid in any process.

        Raises:
            InputError: its URL holds a password.
        """
        if _PASSWORD.search(self.store):
            raise InputError(
                "the URL of the store (UNSEEN_STORE or --store) holds a password, which tables, "
                "records and logs would repeat; leave it out and set variables such as "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the configuration of fsspec"
            )
        if "://" in self.store:
            return Store(root=self.store.rstrip("/"))
        return Store(root=str(Path(self.store).expanduser().absolute()))

    def thread_count(self) -> int:
        return self.threads or usable_cores()

    def _device(self) -> Device:
        if self.device == "cpu" or (self.device == "auto" and not _may_have_gpu()):
            return "cpu"
        import torch  # late: takes seconds to import

        if torch.cuda.is_available():
            return "cuda"
        if self.device == "cuda":
            raise InputError(
                f"UNSEEN_DEVICE is cuda but torch {torch.__version__} finds no CUDA device; "
                "install a CUDA build of torch (see docs/sites.md) or set UNSEEN_DEVICE to cpu"
            )
        return "cpu"


def _may_have_gpu() -> bool:
    """Whether a GPU driver is installed; without one, torch need not be imported to look."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libcuda.so.1")  # the library that torch loads
    except OSError:
        return Path("/dev/kfd").exists()  # AMD's, which torch calls CUDA too
    return True


def usable_cores() -> int:
    """Number of cores this process may use; in a container, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


CORES_A_SCENE = 4
"""Number of threads up to which a scene scales; more cores run more scenes at a time."""


def check_max_concurrent(count: int) -> None:
    """
    Raises:
        InputError: a negative number of concurrent scenes.
    """
    if count < 0:
        raise InputError(
            f"{count} scenes cannot run at once; set --max-concurrent to 1 or more, or to 0 for "
            "the default"
        )


def shared_cores(threads: int, max_concurrent: int) -> tuple[int, int]:
    """Number of threads per scene and of concurrent scenes that fill this machine; 0 in the
    arguments stands for the default.

    Raises:
        InputError: a negative number of concurrent scenes.
    """
    check_max_concurrent(max_concurrent)
    cores = usable_cores()
    max_concurrent = max_concurrent or max(1, cores // (threads or CORES_A_SCENE))
    return threads or max(1, cores // max_concurrent), max_concurrent


def configure_prefect() -> None:
    """Disable telemetry, log warnings only, extend timeouts; call before Prefect is imported.

    Programs that are started in a dataset's folder do not import what lies there.
    """
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    # On a busy machine a server takes longer to start than Prefect's 20 s.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ["PYTHONSAFEPATH"] = "1"  # 'python -m prefect' would look there first
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")


def prefect_home() -> Path:
    """Folder of Prefect's database, and of our locks and logs."""
    from prefect.settings import get_current_settings

    return Path(get_current_settings().home)
