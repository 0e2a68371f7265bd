"""The Prefect API in use: discovery, authentication and addresses.

Used is a server that ``PREFECT_API_URL`` or Prefect's profile names, or one that we started and
that proves it. Whatever else answers on this machine is left alone.
"""

import base64
import ipaddress
import json
import os
import re
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from flows.orchestration.identity import (
    generated_password,
    is_ours,
    password_file,
    write_private,
)
from flows.settings import configure_prefect, prefect_home
from tasks.errors import InputError, MachineError

LOOPBACK = "127.0.0.1"
OURS = "UNSEEN_OWN_API"
"""Variable that tells our processes the address of the server, where we started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A Prefect API that answers."""

    url: str
    """Ends in ``/api``."""
    started: bool
    """Whether this call started it."""
    password: str | None = field(default=None, repr=False)
    """User and password of a server of ours; None for a named one, which has the user's."""
    password_file: Path | None = None
    """Where the password lies that was generated for a server of ours."""

    @property
    def ui(self) -> str:
        return without_password(self.url).removesuffix("/api")

    @property
    def login(self) -> str:
        """How to log in to the UI, in parentheses; empty where the user knows."""
        return f" (its password: the line in {self.password_file})" if self.password_file else ""


def without_password(url: str) -> str:
    """A URL that is safe to print."""
    return re.sub(r"(://[^/@:]*):[^@]+@", r"\1:...@", url)


def find_api() -> Api | None:
    """The API named by ``PREFECT_API_URL`` or Prefect's profile, else that of a server of ours.

    Raises:
        InputError: the API requires a password that is missing or wrong.
        MachineError: the named API does not answer, or is not the one whose password is set.
    """
    configure_prefect()
    _bypass_proxy_on_loopback()
    remembered = _remembered()
    named = named_url()
    if remembered is not None and named in (None, remembered.url) and is_ours(remembered.url):
        _check_access(remembered.url, remembered.password)
        return remembered
    if named is None:
        return None
    if not answers(named):
        raise MachineError(
            f"the Prefect API at {without_password(named)} (PREFECT_API_URL, or Prefect's "
            "profile) does not answer; start that server, or unset it and a local one will be "
            "started"
        )
    password = _client_password()
    if password and password == generated_password():
        raise MachineError(
            f"PREFECT_API_AUTH_STRING is the password of the server that unseen starts, and what "
            f"answers at {without_password(named)} (PREFECT_API_URL, or Prefect's profile) is not "
            "that server, so it was not sent; unset both, or set those of one server"
        )
    _check_access(named, password)
    return Api(url=named, started=False)


def use_api(api: Api) -> None:
    """Point this process and its children at ``api``."""
    from prefect.context import refresh_global_settings_context

    if api.password:  # the password of a server of ours applies to that server alone
        os.environ["PREFECT_API_AUTH_STRING"] = api.password
        os.environ[OURS] = api.url
    else:
        os.environ.pop(OURS, None)
    os.environ["PREFECT_API_URL"] = api.url
    refresh_global_settings_context()  # Prefect read the environment when it was imported


def use_temporary_api() -> None:
    """Have the server that Prefect starts for this process alone require a password.

    It is a new one each time, so it is worth nothing to a program that takes the server's place.
    """
    from prefect.context import refresh_global_settings_context

    password = f"unseen:{secrets.token_urlsafe(24)}"
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = password
    os.environ["PREFECT_API_AUTH_STRING"] = password
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://{LOOPBACK}"
    refresh_global_settings_context()


def is_for_this_machine() -> bool:
    """Whether the API in use is a server that we started on loopback, so that all its workers run
    here, in this environment."""
    from prefect.settings import get_current_settings

    host = get_current_settings().server.api.host
    return named_url() is not None and named_url() == os.environ.get(OURS) and is_loopback(host)


def answers(url: str) -> bool:
    """Whether a Prefect API is healthy at a URL."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(json.loads(reply.read()) is True)
    except (OSError, ValueError):
        return False


def remember(api: Api) -> None:
    """Record a server of ours for later commands."""
    generated = api.password_file is not None
    write_private(_memory_file(), json.dumps({"url": api.url, "generated_password": generated}))


def named_url() -> str | None:
    """The URL in the environment or in Prefect's profile."""
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    return str(url).rstrip("/") if url else None


def usual_port() -> int:
    """4200, unless ``PREFECT_SERVER_API_PORT`` or the profile sets another."""
    from prefect.settings import get_current_settings

    return int(get_current_settings().server.api.port)


def url_of(port: int, host: str = LOOPBACK) -> str:
    """The URL by which this machine reaches a server that listens on ``host``."""
    if host in ("0.0.0.0", "::"):
        host = LOOPBACK
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/api"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server_password() -> str | None:
    """User and password that a server started here requires."""
    from prefect.settings import get_current_settings

    secret = get_current_settings().server.api.auth_string
    return secret.get_secret_value() if secret else None


def _client_password() -> str | None:
    """User and password that this process sends."""
    from prefect.settings import get_current_settings

    secret = get_current_settings().api.auth_string
    return secret.get_secret_value() if secret else None


def _check_access(url: str, password: str | None) -> None:
    """Check the password: the health endpoint answers without one.

    Raises:
        InputError: the API refuses it.
    """
    request = urllib.request.Request(f"{url}/admin/version")
    if password:
        encoded = base64.b64encode(password.encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError as error:
        if error.code != 401 or _has_cloud_key():
            return
        given = "and refuses that of PREFECT_API_AUTH_STRING" if password else "and none is set"
        raise InputError(
            f"the Prefect API at {without_password(url)} requires a password, {given}; set "
            "PREFECT_API_AUTH_STRING to user:password as the server has it"
        ) from error
    except OSError:
        return  # too busy to answer: the first request will report it


def _has_cloud_key() -> bool:
    """Whether a key of Prefect Cloud is set, which has no passwords."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.key is not None


def _memory_file() -> Path:
    return prefect_home() / "unseen-server.json"


def _remembered() -> Api | None:
    """The server that was recorded last, which may have ended."""
    try:
        record = json.loads(_memory_file().read_text())
        url, generated = str(record["url"]), record["generated_password"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if generated:
        password, file = generated_password(), password_file()
        return Api(url=url, started=False, password=password, password_file=file)
    return Api(url=url, started=False, password=server_password() or _client_password())


def _bypass_proxy_on_loopback() -> None:
    """Exempt this machine from the proxies of the environment."""
    for name in ("no_proxy", "NO_PROXY"):
        exempt = [host for host in os.environ.get(name, "").split(",") if host]
        missing = [host for host in (LOOPBACK, "localhost") if host not in exempt]
        os.environ[name] = ",".join([*exempt, *missing])
