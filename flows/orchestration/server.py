"""Finding a Prefect API, or starting a persistent one on this machine, and workers for a run."""

import base64
import contextlib
import functools
import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from flows.orchestration.locks import lock
from flows.orchestration.supervisor import SECONDS_TO_END, Told, kept_running, tell_nobody
from flows.settings import configure_prefect, prefect_home
from tasks.errors import InputError, MachineError

LOOPBACK = "127.0.0.1"
SECONDS_TO_START = 300.0
WORKER_ENVIRONMENT = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_LOGGING_LEVEL": "INFO",  # of the scenes, shown in the UI; our own terminal is quiet
    # About four minutes, not one: a server that has too little of a busy machine costs no scene.
    "PREFECT_CLIENT_MAX_RETRIES": "7",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A Prefect API that answers."""

    url: str
    """Ends in ``/api``."""
    started: bool
    """Whether this call started it."""

    @property
    def ui(self) -> str:
        return shown(self.url).removesuffix("/api")


def shown(url: str) -> str:
    """A URL as it may be printed: without the password in it."""
    return re.sub(r"(://[^/@:]*):[^@]+@", r"\1:...@", url)


def find_api() -> Api | None:
    """The API that ``PREFECT_API_URL`` or Prefect's profile names, else the one we started before.

    Raises:
        InputError: it asks for a password that is not ours.
        MachineError: one is named and does not answer.
    """
    configure_prefect()
    _spare_loopback_the_proxy()
    if named := _named_url():
        if not _answers(named):
            raise MachineError(
                f"the Prefect API at {shown(named)} (PREFECT_API_URL, or Prefect's profile) does "
                "not answer; start that server, or unset it and a local one will be started"
            )
        _check_admitted(named, _password())
        return Api(url=named, started=False)
    for url in (_remembered_url(), _url(_usual_port())):
        if url and _answers(url):
            _check_admitted(url, _password() or _password_of_our_server())
            return Api(url=url, started=False)
    return None


def find_or_start_api() -> Api:
    """A Prefect API; a started server stays when we end, on loopback, with its sqlite database.

    Raises:
        MachineError: a named API does not answer, or the server did not come up.
    """
    if found := find_api():
        return found
    with lock("server"):
        if found := find_api():  # started by somebody while we waited for the lock
            return found
        return _start_api()


@contextlib.contextmanager
def kept_api(*, tell: Told = tell_nobody) -> Iterator[Api]:
    """A Prefect API while the block runs: one that is there already, else one of our own.

    Ours ends with the block, and is started again when it dies. So is one that another command
    started on this machine and that ends meanwhile; while it lives it is left alone. A named one is
    not ours to keep.

    It listens on loopback, or where ``PREFECT_SERVER_API_HOST`` says.

    Raises:
        InputError: it would listen beyond loopback and ask nobody for a password.
        MachineError: a named API does not answer, or the server did not come up.
    """
    with contextlib.ExitStack() as kept:
        with lock("server"):
            found = find_api()
            if found is None or not _named_url():
                host = _host_for_a_server()
                api = found or Api(url=_url(_port_for_a_server(), host), started=True)
                _forget_dead_server()
                server = kept_running(
                    "the Prefect server",
                    _server_command(_port_of(api.url), host),
                    log=_server_log(),
                    environment=_server_environment(),
                    unless=functools.partial(_answers, api.url),
                    tell=tell,
                )
                kept.enter_context(server)
                _wait_for(api.url)
                _memory_file().write_text(json.dumps({"url": api.url}))
            else:
                api = found
        yield api


def _start_api() -> Api:
    port = _port_for_a_server()
    _forget_dead_server()
    command = _server_command(port)
    log = _server_log()
    with log.open("wb") as output:
        # Not --background: its server logs into a pipe that nobody reads any more, and ends at the
        # first warning. In a session of its own, or Ctrl-C in our terminal would end it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_server_environment(),
            start_new_session=True,
        )
    with contextlib.suppress(FileExistsError), _pid_file().open("x") as file:
        file.write(str(process.pid))  # for 'prefect server stop'
    url = _url(port)
    _wait_for(url, lambda: process.poll() is not None)
    _memory_file().write_text(json.dumps({"url": url}))
    return Api(url=url, started=True)


def _wait_for(url: str, has_ended: Callable[[], bool] = lambda: False) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not _answers(url):
        if has_ended() or time.monotonic() > deadline:
            said = " ".join(_server_log().read_text(errors="replace").split())
            raise MachineError(
                f"the Prefect server did not come up on {url} within {SECONDS_TO_START:.0f} s "
                f"({said[-300:]}); start one with 'prefect server start' and set PREFECT_API_URL"
            )
        time.sleep(0.3)


def _port_for_a_server() -> int:
    """The usual one, unless another program has it."""
    port = _usual_port()
    return port if _is_free(port) else _free_port()


def _host_for_a_server() -> str:
    """Loopback, unless more is asked for and there is a password for it."""
    from prefect.settings import get_current_settings

    host = get_current_settings().server.api.host
    if _is_loopback(host):
        return LOOPBACK
    if not _password_of_our_server():
        raise InputError(
            f"PREFECT_SERVER_API_HOST is {host}, where whoever reaches this machine could run what "
            "they like on it, and no password is set; set PREFECT_SERVER_API_AUTH_STRING to "
            "user:password here, and PREFECT_API_AUTH_STRING to the same elsewhere, or unset it"
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _server_command(port: int, host: str = LOOPBACK) -> list[str]:
    command = [sys.executable, "-m", "prefect", "server", "start"]
    return [*command, "--host", host, "--port", str(port)]


def _server_log() -> Path:
    return prefect_home() / "unseen-server.log"


def use_api(api: Api) -> None:
    """Make this process and its children talk to ``api``."""
    from prefect.context import refresh_global_settings_context

    # Ours has been told its password, which we need not be told again; no other one gets it.
    if not _named_url() and not _password() and (password := _password_of_our_server()):
        os.environ["PREFECT_API_AUTH_STRING"] = password
    os.environ["PREFECT_API_URL"] = api.url
    refresh_global_settings_context()  # Prefect has read the environment when it was imported


def is_for_this_machine() -> bool:
    """Whether the API in use is a server that we started for this machine alone, so that its
    workers run here too, and as we do."""
    from prefect.settings import get_current_settings

    host = get_current_settings().server.api.host
    return _named_url() is not None and _named_url() == _remembered_url() and _is_loopback(host)


def worker(
    pool: str,
    queue: str | None,
    *,
    name: str,
    limit: int,
    environment: Mapping[str, str],
    seconds_to_end: float = SECONDS_TO_END,
    tell: Told = tell_nobody,
) -> contextlib.AbstractContextManager[None]:
    """A process worker that pulls from a pool while the block runs, restarted if it dies.

    Args:
        queue: of the pool; all of them where absent.
        name: shown in the UI.
        limit: flow runs at a time.
        environment: variables added to ours, for the worker and what it starts.
        seconds_to_end: that it has for what it has begun, once the block has ended.
        tell: told, in a sentence, that it died.
    """
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    command += ["--pool", pool, "--limit", str(limit), "--name", name]
    command += ["--work-queue", queue] if queue else []
    return kept_running(
        f"the worker {name}",
        command,
        log=prefect_home() / "unseen-worker.log",
        environment={**os.environ, **WORKER_ENVIRONMENT, **environment},
        seconds_to_end=seconds_to_end,
        tell=tell,
    )


def _named_url() -> str | None:
    from prefect.settings import get_current_settings  # reads the environment and the profile

    url = get_current_settings().api.url
    return str(url).rstrip("/") if url else None


def _password() -> str | None:
    """What we tell a server that asks, user and password."""
    from prefect.settings import get_current_settings

    secret = get_current_settings().api.auth_string
    return secret.get_secret_value() if secret else None


def _password_of_our_server() -> str | None:
    """What a server that is started here asks for."""
    from prefect.settings import get_current_settings

    secret = get_current_settings().server.api.auth_string
    return secret.get_secret_value() if secret else None


def _check_admitted(url: str, password: str | None) -> None:
    """Refuse an API that refuses us: it says that it is well to everybody.

    Raises:
        InputError: it does.
    """
    request = urllib.request.Request(f"{url}/admin/version")
    if password:
        encoded = base64.b64encode(password.encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError as error:
        if error.code != 401 or _has_key():
            return
        known = "another one than PREFECT_API_AUTH_STRING has" if password else "and none is set"
        raise InputError(
            f"the Prefect API at {shown(url)} asks for a password, {known}; set "
            "PREFECT_API_AUTH_STRING to user:password as the server has it"
        ) from error
    except OSError:
        return  # it is busy, and will say so itself


def _has_key() -> bool:
    """Whether we have one of Prefect Cloud's, which has no passwords."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.key is not None


def _usual_port() -> int:
    """4200, unless ``PREFECT_SERVER_API_PORT`` or the profile says otherwise."""
    from prefect.settings import get_current_settings

    return int(get_current_settings().server.api.port)


def _pid_file() -> Path:
    """Prefect's own, of the server that stays."""
    return prefect_home() / "server.pid"


def _memory_file() -> Path:
    return prefect_home() / "unseen-server.json"


def _remembered_url() -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_memory_file().read_text())["url"])
    return None


def _spare_loopback_the_proxy() -> None:
    """Keep what is meant for this machine from the proxies of the environment."""
    for name in ("no_proxy", "NO_PROXY"):
        spared = [host for host in os.environ.get(name, "").split(",") if host]
        missing = [host for host in (LOOPBACK, "localhost") if host not in spared]
        os.environ[name] = ",".join([*spared, *missing])


def _url(port: int, host: str = LOOPBACK) -> str:
    """By which a server that listens on ``host`` is reached from this machine."""
    if host in ("0.0.0.0", "::"):
        host = LOOPBACK
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/api"


def _port_of(url: str) -> int:
    port = urllib.parse.urlsplit(url).port
    if port is None:
        raise AssertionError(f"a local server's address without a port: {url}")
    return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(json.loads(reply.read()) is True)
    except (OSError, ValueError):
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _forget_dead_server() -> None:
    """A server that was killed leaves its pid file, and 'prefect server stop' would believe it."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        words = psutil.Process(int(_pid_file().read_text())).cmdline()
        if any("prefect" in word for word in words):  # else another program has the number now
            return
    _pid_file().unlink(missing_ok=True)


def _server_environment() -> dict[str, str]:
    ours = {
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Scenes wait for their turn as a matter of course. To call each of them late, sqlite is
        # written by so many at once that others find it locked, some for a minute.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    }
    return ours | {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
