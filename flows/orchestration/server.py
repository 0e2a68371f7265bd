"""A Prefect server on this machine: started to stay, or supervised while a command runs."""

import contextlib
import functools
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from flows.orchestration.api import (
    LOOPBACK,
    Api,
    answers,
    find_api,
    is_loopback,
    named_url,
    remember,
    server_password,
    url_of,
    usual_port,
)
from flows.orchestration.locks import lock
from flows.orchestration.supervisor import Notify, ignore, supervised
from flows.settings import prefect_home
from tasks.errors import InputError, MachineError

SECONDS_TO_START = 300.0


def find_or_start_api() -> Api:
    """The API that is found, else that of a new server on loopback, which outlives this process.

    Raises:
        InputError: the API requires a password that is missing or wrong.
        MachineError: a named API does not answer, or the server did not start.
    """
    if found := find_api():
        return found
    with lock("server"):
        if found := find_api():  # another process started one while we waited for the lock
            return found
        return _start_api()


@contextlib.contextmanager
def supervised_api(*, notify: Notify = ignore) -> Iterator[Api]:
    """A Prefect API while the block runs: a named one as it is, else a supervised local server.

    The server listens on loopback, or on ``PREFECT_SERVER_API_HOST``. It is restarted when it dies
    and ends with the block. A local server that runs already is left alone, and replaced when it
    ends.

    Raises:
        InputError: the server would listen beyond loopback without a password.
        MachineError: a named API does not answer, or the server did not start.
    """
    with contextlib.ExitStack() as stack:
        with lock("server"):
            found = find_api()
            if found is None or not named_url():
                host = _server_host()
                api = found or Api(url=url_of(_server_port(), host), started=True)
                _remove_stale_pid_file()
                server = supervised(
                    "the Prefect server",
                    _server_command(_port_of(api.url), host),
                    log=_server_log(),
                    environment=_server_environment(),
                    unless=functools.partial(answers, api.url),
                    notify=notify,
                )
                stack.enter_context(server)
                _wait_for(api.url)
                remember(api.url)
            else:
                api = found
        yield api


def _start_api() -> Api:
    port = _server_port()
    _remove_stale_pid_file()
    with _server_log().open("wb") as output:
        # Not --background: that server logs into a pipe without a reader, and dies at the first
        # warning. A session of its own keeps Ctrl-C in our terminal from it.
        process = subprocess.Popen(
            _server_command(port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_server_environment(),
            start_new_session=True,
        )
    with contextlib.suppress(FileExistsError), _pid_file().open("x") as file:
        file.write(str(process.pid))  # for 'prefect server stop'
    url = url_of(port)
    _wait_for(url, lambda: process.poll() is not None)
    remember(url)
    return Api(url=url, started=True)


def _wait_for(url: str, has_ended: Callable[[], bool] = lambda: False) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not answers(url):
        if has_ended() or time.monotonic() > deadline:
            logged = " ".join(_server_log().read_text(errors="replace").split())
            raise MachineError(
                f"the Prefect server did not come up on {url} within {SECONDS_TO_START:.0f} s "
                f"({logged[-300:]}); start one with 'prefect server start' and set PREFECT_API_URL"
            )
        time.sleep(0.3)


def _server_port() -> int:
    """The usual port, or a free one where another program has it."""
    port = usual_port()
    return port if _is_free(port) else _free_port()


def _server_host() -> str:
    """Loopback, or ``PREFECT_SERVER_API_HOST`` where a password protects it."""
    from prefect.settings import get_current_settings

    host = get_current_settings().server.api.host
    if is_loopback(host):
        return LOOPBACK
    if not server_password():
        raise InputError(
            f"PREFECT_SERVER_API_HOST is {host}, and no password is set, so anyone who reaches "
            "this machine could run code on it; set PREFECT_SERVER_API_AUTH_STRING to "
            "user:password here, and PREFECT_API_AUTH_STRING to the same elsewhere, or unset it"
        )
    return host


def _server_command(port: int, host: str = LOOPBACK) -> list[str]:
    command = [sys.executable, "-m", "prefect", "server", "start"]
    return [*command, "--host", host, "--port", str(port)]


def _server_log() -> Path:
    return prefect_home() / "unseen-server.log"


def _pid_file() -> Path:
    """Prefect's own, of a server that stays."""
    return prefect_home() / "server.pid"


def _remove_stale_pid_file() -> None:
    """Remove the pid file of a killed server, which 'prefect server stop' would trust."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        words = psutil.Process(int(_pid_file().read_text())).cmdline()
        if any("prefect" in word for word in words):  # else another program reuses the number
            return
    _pid_file().unlink(missing_ok=True)


def _port_of(url: str) -> int:
    port = urllib.parse.urlsplit(url).port
    if port is None:
        raise AssertionError(f"a local server's address without a port: {url}")
    return port


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


def _server_environment() -> dict[str, str]:
    settings = {
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Scenes wait in the queue as a matter of course. Marking each of them late writes sqlite
        # so often that other writers find it locked, some for a minute.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    }
    return settings | {
        name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"
    }
