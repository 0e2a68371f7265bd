"""The Prefect API in use: discovery, authentication and addresses."""

import base64
import contextlib
import ipaddress
import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from flows.settings import configure_prefect, prefect_home
from tasks.errors import InputError, MachineError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A Prefect API that answers."""

    url: str
    """Ends in ``/api``."""
    started: bool
    """Whether this call started it."""

    @property
    def ui(self) -> str:
        return without_password(self.url).removesuffix("/api")


def without_password(url: str) -> str:
    """A URL that is safe to print."""
    return re.sub(r"(://[^/@:]*):[^@]+@", r"\1:...@", url)


def find_api() -> Api | None:
    """The API named by ``PREFECT_API_URL`` or Prefect's profile, else a local server that runs.

    Raises:
        InputError: the API requires a password that is missing or wrong.
        MachineError: the named API does not answer.
    """
    configure_prefect()
    _bypass_proxy_on_loopback()
    if named := named_url():
        if not answers(named):
            raise MachineError(
                f"the Prefect API at {without_password(named)} (PREFECT_API_URL, or Prefect's "
                "profile) does not answer; start that server, or unset it and a local one will be "
                "started"
            )
        _check_access(named, _client_password())
        return Api(url=named, started=False)
    for url in (_remembered_url(), url_of(usual_port())):
        if url and answers(url):
            _check_access(url, _client_password() or server_password())
            return Api(url=url, started=False)
    return None


def use_api(api: Api) -> None:
    """Point this process and its children at ``api``."""
    from prefect.context import refresh_global_settings_context

    # The password of a server that we start applies to that server alone.
    if not named_url() and not _client_password() and (password := server_password()):
        os.environ["PREFECT_API_AUTH_STRING"] = password
    os.environ["PREFECT_API_URL"] = api.url
    refresh_global_settings_context()  # Prefect read the environment when it was imported


def is_for_this_machine() -> bool:
    """Whether the API in use is a server that we started on loopback, so that all its workers run
    here, in this environment."""
    from prefect.settings import get_current_settings

    host = get_current_settings().server.api.host
    return named_url() is not None and named_url() == _remembered_url() and is_loopback(host)


def answers(url: str) -> bool:
    """Whether a Prefect API is healthy at a URL."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(json.loads(reply.read()) is True)
    except (OSError, ValueError):
        return False


def remember(url: str) -> None:
    """Record the address of a server started here, for later commands."""
    _memory_file().write_text(json.dumps({"url": url}))


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


def _remembered_url() -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_memory_file().read_text())["url"])
    return None


def _bypass_proxy_on_loopback() -> None:
    """Exempt this machine from the proxies of the environment."""
    for name in ("no_proxy", "NO_PROXY"):
        exempt = [host for host in os.environ.get(name, "").split(",") if host]
        missing = [host for host in (LOOPBACK, "localhost") if host not in exempt]
        os.environ[name] = ",".join([*exempt, *missing])
