"""Which server is ours: secrets in Prefect's home, and a proof of them that gives none away.

A server that we start answers a challenge with a code that only the key in our home makes, bound to
the address at which it listens: another program can neither forge it, nor replay an old one, nor
pass on that of our server elsewhere. No password is sent before that.
"""

import contextlib
import hashlib
import hmac
import http.client
import os
import secrets
import tempfile
import urllib.parse
from pathlib import Path

from flows.settings import prefect_home
from tasks.errors import MachineError

IDENTITY = "/unseen/identity"
"""Path of the answer to a challenge."""
SECONDS_TO_ANSWER = 5.0


def proof(key: str, url: str, challenge: str) -> str:
    """What the server at ``url`` answers to a challenge."""
    message = f"unseen server {url} {challenge}"
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def is_ours(url: str, *, seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Whether the server at a URL proves that it was started from this home.

    Args:
        url: of its API, ending in ``/api``.
        seconds: to wait for its answer.

    Raises:
        MachineError: others can read our key.
    """
    key = _read_private(_key_file())
    if key is None:
        return False
    challenge = secrets.token_hex(32)
    answer = _answer(url, challenge, seconds)
    return hmac.compare_digest(answer, proof(key, url, challenge).encode())


def server_key() -> str:
    """The key of this home's servers, made at the first call.

    Raises:
        MachineError: others can read it.
    """
    return _read_or_make(_key_file(), secrets.token_hex(32))


def generated_password() -> str | None:
    """User and password of this home's servers; None before there is one.

    Raises:
        MachineError: others can read it.
    """
    return _read_private(password_file())


def make_password() -> str:
    """User and password of this home's servers, made at the first call.

    Raises:
        MachineError: others can read it.
    """
    return _read_or_make(password_file(), f"unseen:{secrets.token_urlsafe(24)}")


def password_file() -> Path:
    """Where the generated password lies, in one line."""
    return prefect_home() / "unseen-server-password"


def write_private(file: Path, content: str) -> None:
    """Write a file that is whole, and closed to others, whenever it exists."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # of mode 0600
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(content)
        written.replace(file)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def _answer(url: str, challenge: str, seconds: float) -> bytes:
    """By a client that follows no redirects, takes no proxies and has no credentials."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=seconds)
    with contextlib.closing(connection):
        try:
            connection.request("GET", f"{IDENTITY}?challenge={challenge}")
            reply = connection.getresponse()
            return reply.read(1000) if reply.status == 200 else b""
        except (OSError, http.client.HTTPException):
            return b""


def _key_file() -> Path:
    return prefect_home() / "unseen-server-key"


def _read_or_make(file: Path, content: str) -> str:
    if found := _read_private(file):
        return found
    write_private(file, content + "\n")
    return content


def _read_private(file: Path) -> str | None:
    """The content of a secret file; None where there is none."""
    try:
        with file.open(errors="replace") as opened:
            status = os.fstat(opened.fileno())
            content = opened.read().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MachineError(
            f"'{file}' cannot be read ({error.strerror}), which tells this user's Prefect server "
            "from others; set PREFECT_HOME to a folder of your own"
        ) from error
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise MachineError(
            f"others may have read or written '{file}' (user {status.st_uid}, mode "
            f"{status.st_mode & 0o777:o}), which protects the Prefect server; end that server "
            "with 'prefect server stop' and delete the file, or set PREFECT_HOME to a folder of "
            "your own"
        )
    return content or None
