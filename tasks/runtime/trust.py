"""Trust of the machine's owner in models of others, and in the code of some of them.

Trust comes from the machine alone: a variable of its environment or an option of a command. No
config, parameter of a flow or form can carry it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InputError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Addresses (see :func:`address_of`) that the owner lists. The default trusts nothing."""

    models: frozenset[str] = frozenset()
    """Weights that may be loaded."""
    code: frozenset[str] = frozenset()
    """Python code that may be run; weights beside it may be loaded."""

    def loads(self, address: str) -> bool:
        """Whether the model at an address may be loaded, as weights alone."""
        return address in self.models or address in self.code

    def runs(self, address: str) -> bool:
        """Whether the Python code at an address may be run."""
        return address in self.code


NO_TRUST = Trust()


def is_folder(name: str) -> bool:
    """Whether a model's name is a folder's, by its form alone: what lies in the working folder
    must not stand in for a model of the hub."""
    return name.startswith(("/", "~"))


def address_of(name: str, revision: str | None) -> str:
    """A model's address: ``owner/name@commit`` of the hub, or the resolved path of a folder.

    Args:
        name: hub id, or a folder's whole path.
        revision: commit of a hub id; None for a folder.

    Raises:
        ValueError: it is neither, or the commit is none, as the rest of a sentence about the name.
    """
    if is_folder(name):
        if revision is not None:
            raise ValueError(f"'{name}' is a folder, which has no revision; leave that out")
        return str(Path(name).expanduser().resolve())
    if not _HUB_ID.fullmatch(name):
        raise ValueError(
            f"'{name}' is neither a hub id (owner/name) nor the whole path of a folder (from /), "
            "so what it means would depend on where it is read; write one of these"
        )
    if revision is None or not _COMMIT.fullmatch(revision):
        given = "no revision" if revision is None else f"the revision '{revision}'"
        raise ValueError(
            f"'{name}' is a model of the hub with {given}, and behind a branch or a tag its owner "
            "may put something else at any time; give the commit, 40 hexadecimal digits"
        )
    return f"{name}@{revision}"


def listed(text: str, where: str) -> frozenset[str]:
    """The addresses in a list, separated by commas.

    Args:
        where: what holds the list, as the error names it.

    Raises:
        InputError: an entry is neither ``owner/name@commit`` nor a folder.
    """
    return frozenset(_entry(one.strip(), where) for one in text.split(",") if one.strip())


def joined(addresses: Iterable[str]) -> str:
    """The list of addresses that :func:`listed` reads."""
    return ",".join(sorted(addresses))


def _entry(text: str, where: str) -> str:
    name, _, revision = (text, "", "") if is_folder(text) else text.partition("@")
    try:
        return address_of(name, revision or None)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
