"""A Prefect server on this machine: started to stay, or supervised while a command runs."""

import contextlib
import functools
import os
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
    find_api,
    is_loopback,
    named_url,
    remember,
    server_password,
    url_of,
    usual_port,
)
from flows.orchestration.identity import is_ours, make_password, password_file, server_key
from flows.orchestration.listening import listen_near
from flows.orchestration.locks import is_held, lock
from flows.orchestration.supervisor import Notify, ignore, supervised
from flows.settings import prefect_home
from tasks.errors import InputError, MachineError

MODULE = "flows.orchestration.guarded_server"
SUPERVISED = "supervised-server"
"""Lock of the process that supervises the server."""
SECONDS_TO_START = 300.0


def find_or_start_api(*, notify: Notify = ignore) -> Api:
    """The API that is found, else that of a new server on loopback, which outlives this process.

    Args:
        notify: receives a sentence where another program has the usual port.

    Raises:
        InputError: the API requires a password that is missing or wrong.
        MachineError: a named API does not answer, or the server did not start.
    """
    if found := find_api():
        return found
    with lock("server"):
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            if found := find_api():  # another process started one while we waited for the lock
                return found
            if not is_held(SUPERVISED) or time.monotonic() > deadline:
                return _start_api(notify)
            time.sleep(0.3)  # its supervisor restarts it at the same address


@contextlib.contextmanager
def supervised_api(*, notify: Notify = ignore) -> Iterator[Api]:
    """A Prefect API while the block runs: a named one as it is, else a supervised local server.

    The server listens on loopback, or on ``PREFECT_SERVER_API_HOST``. It is restarted when it dies
    and ends with the block; meanwhile nobody else gets its port. A server of ours that runs already
    is left alone, and replaced when it ends.

    Raises:
        InputError: the server would listen beyond loopback without a password.
        MachineError: a named API does not answer, or the server did not start.
    """
    with contextlib.ExitStack() as stack:
        with lock("server"):
            api = find_api()
            if api is None or not named_url():
                stack.enter_context(lock(SUPERVISED))
                api = _supervise(api, stack, notify)
        yield api


def _supervise(found: Api | None, stack: contextlib.ExitStack, notify: Notify) -> Api:
    """Supervise a server until the stack unwinds.

    Args:
        found: a server of ours that runs; None for none.
    """
    host = _server_host()
    descriptors: tuple[int, ...] = ()
    if found is None:
        opened = stack.enter_context(listen_near(host, usual_port()))
        descriptors = (opened.fileno(),)
        api = _new_api(opened.getsockname()[1], host, notify)
    else:
        api = found
        host = host if url_of(_port_of(api.url), host) == api.url else LOOPBACK
    _remove_stale_pid_file()
    server = supervised(
        "the Prefect server",
        _server_command(*descriptors),
        log=_server_log(),
        environment=_server_environment(api, host),
        descriptors=descriptors,
        unless=functools.partial(is_ours, api.url),
        notify=notify,
    )
    stack.enter_context(server)
    _wait_for(api.url)
    remember(api)
    return api


def _start_api(notify: Notify) -> Api:
    with listen_near(LOOPBACK, usual_port()) as opened:
        api = _new_api(opened.getsockname()[1], LOOPBACK, notify)
        _remove_stale_pid_file()
        with _server_log().open("wb") as output:
            # Not 'prefect server start --background': that server logs into a pipe without a
            # reader, and dies at the first warning. A session of its own keeps Ctrl-C in our
            # terminal from it.
            process = subprocess.Popen(
                _server_command(opened.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_server_environment(api, LOOPBACK),
                pass_fds=(opened.fileno(),),
                start_new_session=True,
            )
    with contextlib.suppress(FileExistsError), _pid_file().open("x") as file:
        file.write(str(process.pid))  # for 'prefect server stop'
    _wait_for(api.url, lambda: process.poll() is not None)
    remember(api)
    return api


def _new_api(port: int, host: str, notify: Notify) -> Api:
    """The API of a server that is to be started on a port; its secrets are made here."""
    if port != (usual := usual_port()):
        notify(
            f"port {usual} is taken by a program that unseen did not start, which is left alone; "
            f"the Prefect server gets port {port} (to use a server on port {usual}, set "
            f"PREFECT_API_URL to {url_of(usual)})"
        )
    server_key()
    if password := server_password():
        return Api(url=url_of(port, host), started=True, password=password)
    password, file = make_password(), password_file()
    return Api(url=url_of(port, host), started=True, password=password, password_file=file)


def _wait_for(url: str, has_ended: Callable[[], bool] = lambda: False) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_ours(url):
        if has_ended() or time.monotonic() > deadline:
            logged = " ".join(_server_log().read_text(errors="replace").split())
            raise MachineError(
                f"the Prefect server did not come up on {url} within {SECONDS_TO_START:.0f} s "
                f"({logged[-300:]}); start one with 'prefect server start' and set PREFECT_API_URL"
            )
        time.sleep(0.3)


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


def _server_command(descriptor: int | None = None) -> list[str]:
    command = [sys.executable, "-m", MODULE]
    return command if descriptor is None else [*command, "--socket", str(descriptor)]


def _server_log() -> Path:
    return prefect_home() / "unseen-server.log"


def _pid_file() -> Path:
    """Prefect's own, of a server that stays."""
    return prefect_home() / "server.pid"


def _remove_stale_pid_file() -> None:
    """Remove the pid file of a killed server, which 'prefect server stop' would trust."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        words = psutil.Process(int(_pid_file().read_text())).cmdline()
        if any(
            "prefect" in word or word == MODULE for word in words
        ):  # else another program reuses the number
            return
    _pid_file().unlink(missing_ok=True)


def _port_of(url: str) -> int:
    port = urllib.parse.urlsplit(url).port
    if port is None:
        raise AssertionError(f"a local server's address without a port: {url}")
    return port


def _server_environment(api: Api, host: str) -> dict[str, str]:
    port = _port_of(api.url)
    names = (LOOPBACK, "localhost") if is_loopback(host) else (host,)
    settings = {
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Scenes wait in the queue as a matter of course. Marking each of them late writes sqlite
        # so often that other writers find it locked, some for a minute.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        # The pages of no other site may read its answers.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{one}:{port}" for one in names),
    }
    settings |= {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    # Where it listens, which its UI is told, too, and sends the password to.
    settings |= {"PREFECT_SERVER_API_HOST": host, "PREFECT_SERVER_API_PORT": str(port)}
    if api.password:
        settings["PREFECT_SERVER_API_AUTH_STRING"] = api.password
        settings["PREFECT_API_AUTH_STRING"] = api.password  # of its own services
    return settings
