"""Models of others that a refiner names: which they are, their content, and the trust in them."""

import errno
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest, sha256
from json import dumps
from pathlib import Path

from tasks.errors import InputError
from tasks.refine.config import ControlNet, Difix, Learned, Mean, Reproject
from tasks.refine.diffusion.config import StableDiffusion
from tasks.runtime.trust import Trust, address_of, is_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdParty:
    """A model, or the code of one, from the hub or from a folder."""

    name: str
    """Hub id or folder, as the config names it."""
    revision: str | None
    """Commit on the hub; None for a folder."""
    code: bool = False
    """Whether Python code that comes with it is run."""

    @property
    def address(self) -> str:
        """As :class:`tasks.runtime.trust.Trust` lists it."""
        return address_of(self.name, self.revision)

    @property
    def folder(self) -> Path | None:
        """The resolved folder; None for a model of the hub."""
        return Path(self.address) if is_folder(self.name) else None


def third_parties(refiner: Learned | Reproject | Mean) -> tuple[ThirdParty, ...]:
    """The models of others that a refiner loads, in the order of their loading."""
    if isinstance(refiner, Difix):
        model = ThirdParty(name=refiner.model, revision=refiner.revision, code=True)
        if refiner.pipeline is None:
            return (model,)
        pipeline = ThirdParty(name=refiner.pipeline, revision=refiner.pipeline_revision, code=True)
        return model, pipeline
    if isinstance(refiner, ControlNet) and isinstance(refiner.weights, StableDiffusion):
        return of_stable_diffusion(refiner.weights)
    return ()


def of_stable_diffusion(config: StableDiffusion) -> tuple[ThirdParty, ...]:
    """The model, then its ControlNets."""
    pinned = ((config.model, config.revision), *config.pinned_controlnets)
    return tuple(ThirdParty(name=name, revision=revision) for name, revision in pinned)


def check_trusted(models: tuple[ThirdParty, ...], trust: Trust) -> None:
    """
    Raises:
        InputError: the machine's owner does not list one.
    """
    for model in models:
        if model.code and not trust.runs(model.address):
            raise InputError(
                f"'{model.address}' comes with Python code of its own, which would run on this "
                "machine, and the owner of the machine does not trust it; read that code and its "
                f"licence, then start the command or the worker with UNSEEN_TRUSTED_CODE="
                f"'{model.address}', or choose another refiner"
            )
        if not trust.loads(model.address):
            raise InputError(
                f"'{model.address}' is a model of others that the owner of this machine does not "
                f"list, so it is not loaded; start the command or the worker with UNSEEN_MODELS="
                f"'{model.address}', or choose another refiner"
            )


def digest_of_folders(models: tuple[ThirdParty, ...]) -> str | None:
    """sha256 of all files of the models that are folders; None where none is one.

    A model of the hub needs none: its commit names its content.

    Raises:
        InputError: a folder cannot be read.
    """
    folders = [model.folder for model in models if model.folder is not None]
    if not folders:
        return None
    content = dumps([_content(folder) for folder in folders])
    return sha256(content.encode()).hexdigest()


def _content(folder: Path) -> list[tuple[str, str]]:
    """Path in the folder and sha256 of every file."""
    try:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no folder")
        files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
        return [
            (name.as_posix(), _digest(path))
            for name, path in sorted(files.items())
            if not any(part.startswith(".") for part in name.parts)  # notes of 'hf' and of git
        ]
    except OSError as error:
        raise InputError(
            f"the model '{folder}' is no folder that can be read ({error.strerror}); check the "
            "path, or where there is network, run 'hf download OWNER/NAME --revision COMMIT "
            f"--local-dir {folder}'"
        ) from error


def _digest(path: Path) -> str:
    status = path.stat()
    return _digest_of_state(path, status.st_size, status.st_mtime_ns, status.st_ino)


@cache
def _digest_of_state(path: Path, *_: int) -> str:
    """Kept while the file is as it was: scenes of a run share models of gigabytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
