"""Finding a Prefect API or starting one, with all that may be in the way on a machine."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_HOST,
    PREFECT_SERVER_API_PORT,
    temporary_settings,
)

from flows.orchestration import server
from tasks.errors import InputError, MachineError
from tests.support.commands import environment_of, free_port, http_program

ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def answering(content: bytes, port: int = 0) -> Iterator[int]:
    """A program that gives the same answer to everything; its port."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(content)

    with http_program(answer, port) as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of Prefect's with nothing in it, and a usual port on which nobody listens."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org")
    changes = {PREFECT_HOME: tmp_path, PREFECT_SERVER_API_PORT: free_port()}
    with temporary_settings(changes, restore_defaults={PREFECT_API_URL}):
        yield tmp_path


def test_without_any_server_none_is_found(home: Path) -> None:
    assert server.find_api() is None


def test_a_named_api_that_is_dead_is_an_error_with_its_address(home: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(MachineError, match=r"http://127\.0\.0\.1:9/api .*does not answer; start"),
    ):
        server.find_api()


def test_the_named_api_wins(home: Path) -> None:
    with (
        answering(b"true") as named,
        answering(b"true") as usual,
        temporary_settings(
            {PREFECT_API_URL: f"http://127.0.0.1:{named}/api/", PREFECT_SERVER_API_PORT: usual}
        ),
    ):
        found = server.find_api()
    assert found == server.Api(url=f"http://127.0.0.1:{named}/api", started=False)
    assert found.ui == f"http://127.0.0.1:{named}"


def test_a_server_on_the_usual_port_is_found_where_the_remembered_one_is_gone(home: Path) -> None:
    (home / "unseen-server.json").write_text('{"url": "http://127.0.0.1:9/api"}')
    with answering(b"true") as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        found = server.find_api()
    assert found is not None
    assert found.url == f"http://127.0.0.1:{port}/api"


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"address": 1}'])
def test_a_damaged_memory_is_no_memory(home: Path, memory: str) -> None:
    (home / "unseen-server.json").write_text(memory)
    assert server.find_api() is None


@pytest.mark.parametrize("content", [b"<html>hello</html>", b'{"ok": true}', b"", b"\xff"])
def test_another_program_on_the_usual_port_is_no_api(home: Path, content: bytes) -> None:
    with answering(content) as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        assert server.find_api() is None


@contextlib.contextmanager
def asking_for(password: str) -> Iterator[int]:
    """A program that tells everybody that it is well, and the rest to who knows the password."""
    expected = "Basic " + base64.b64encode(password.encode()).decode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        known = request.headers.get("Authorization") == expected
        request.send_response(200 if known or request.path == "/api/health" else 401)
        request.end_headers()
        request.wfile.write(b"true")

    with http_program(answer) as found:
        yield found


@pytest.mark.parametrize(
    ("ours", "said"),
    [(None, "and none is set"), ("me:guessed", "another one than PREFECT_API_AUTH")],
)
def test_an_api_that_refuses_us_is_an_error_that_repeats_no_password(
    home: Path, ours: str | None, said: str
) -> None:
    with (
        asking_for("me:secret") as port,
        temporary_settings(
            {
                PREFECT_API_URL: f"http://127.0.0.1:{port}/api",
                PREFECT_API_AUTH_STRING: ours,
                PREFECT_SERVER_API_AUTH_STRING: "me:secret",  # of another server, not to be sent
            }
        ),
        pytest.raises(InputError, match=f"asks for a password, {said}") as refused,
    ):
        server.find_api()
    assert "guessed" not in str(refused.value)


def test_an_api_that_knows_us_is_found(home: Path) -> None:
    with (
        asking_for("me:secret") as port,
        temporary_settings(
            {
                PREFECT_API_URL: f"http://127.0.0.1:{port}/api",
                PREFECT_API_AUTH_STRING: "me:secret",
            }
        ),
    ):
        assert server.find_api() is not None


def test_a_server_of_ours_is_told_its_own_password(home: Path) -> None:
    with (
        asking_for("me:secret") as port,
        temporary_settings(
            {PREFECT_SERVER_API_PORT: port, PREFECT_SERVER_API_AUTH_STRING: "me:secret"}
        ),
    ):
        assert server.find_api() is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "workhorse.example"])
def test_no_server_listens_beyond_this_machine_without_a_password(home: Path, host: str) -> None:
    with (
        temporary_settings({PREFECT_SERVER_API_HOST: host}),
        pytest.raises(InputError, match=rf"HOST is {host}, .* set PREFECT_SERVER_API_AUTH_STRING"),
        server.kept_api(),
    ):
        pytest.fail("a server was started")


def test_a_server_with_a_password_listens_where_it_is_asked_to(home: Path) -> None:
    changes = {PREFECT_SERVER_API_HOST: "0.0.0.0", PREFECT_SERVER_API_AUTH_STRING: "me:secret"}
    with temporary_settings(changes):
        assert server._host_for_a_server() == "0.0.0.0"
    for host in ("127.0.0.1", "localhost", "127.0.0.2", "::1"):
        with temporary_settings({PREFECT_SERVER_API_HOST: host}):
            assert server._host_for_a_server() == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:4200/api"),
        ("10.0.0.5", "http://10.0.0.5:4200/api"),
        ("fd00::5", "http://[fd00::5]:4200/api"),
    ],
)
def test_a_server_that_listens_beyond_is_reached_from_here(host: str, url: str) -> None:
    assert server._url(4200, host) == url


URL = "http://127.0.0.1:4321/api"


@pytest.mark.parametrize(
    ("named", "remembered", "host", "expected"),
    [
        (URL, URL, "127.0.0.1", True),
        ("http://127.0.0.1:9/api", URL, "127.0.0.1", False),
        (URL, URL, "0.0.0.0", False),
    ],
    ids=["ours", "somebody's, by a tunnel", "ours, for others too"],
)
def test_a_server_is_for_this_machine_where_we_started_it_for_nobody_else(
    home: Path, named: str, remembered: str, host: str, expected: bool
) -> None:
    (home / "unseen-server.json").write_text(json.dumps({"url": remembered}))
    with temporary_settings({PREFECT_API_URL: named, PREFECT_SERVER_API_HOST: host}):
        assert server.is_for_this_machine() is expected


def test_no_server_is_for_this_machine_where_none_is_used(home: Path) -> None:
    assert not server.is_for_this_machine()


def test_proxies_are_not_asked_for_what_is_on_this_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(b"true") as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        assert server.find_api() is not None
    assert os.environ["NO_PROXY"].split(",") == ["example.org", "127.0.0.1", "localhost"]


def test_the_pid_file_of_a_dead_server_is_removed(home: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    for content in (str(ended.pid), "", "no number", str(os.getpid())):  # the last: another program
        (home / "server.pid").write_text(content)
        server._forget_dead_server()
        assert not (home / "server.pid").exists(), content


def test_the_pid_file_of_a_living_server_stays(home: Path) -> None:
    words = [sys.executable, "-c", "input('runs')", "prefect.server.api.server:create_app"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        # Linux shows no command line of a process until some time after Popen has returned.
        assert process.stdout is not None
        assert process.stdout.read(4) == b"runs"
        (home / "server.pid").write_text(str(process.pid))
        server._forget_dead_server()
        assert (home / "server.pid").exists()
        process.kill()


def python(code: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Start some code in a process, and a session, of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


START = (
    "import json, time\nfrom flows.orchestration.server import find_or_start_api\n"
    "api = find_or_start_api()\n"
    "print(json.dumps([api.url, api.started]), flush=True)\ntime.sleep({seconds})"
)


def servers(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        environment = process.info["environ"] or {}
        ours = environment.get("PREFECT_HOME") == str(home)
        if ours and process.info["cmdline"][3:5] == ["server", "start"]:
            found.append(process)
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A fresh home, with a space in its path, whose usual port another program holds."""
    home = tmp_path / "my home"
    with answering(b"another program") as port:
        try:
            yield environment_of(home, port)
        finally:
            for process in servers(home):
                process.kill()


def test_one_server_starts_stays_and_is_replaced_when_it_was_killed(
    machine: dict[str, str],
) -> None:
    home = Path(machine["PREFECT_HOME"])
    both = [python(START.format(seconds=60), machine) for _ in range(2)]
    answers = [json.loads(one.stdout.readline()) for one in both if one.stdout]
    (url,) = {url for url, _ in answers}
    assert sorted(started for _, started in answers) == [False, True]
    assert not url.endswith(f":{machine['PREFECT_SERVER_API_PORT']}/api")
    (first,) = servers(home)
    # Into a pipe that nobody reads any more, its first warning would be its end.
    assert {Path(f"/proc/{first.pid}/fd/{stream}").resolve() for stream in (1, 2)} == {
        home / "unseen-server.log"
    }

    for one in both:
        os.killpg(one.pid, signal.SIGINT)  # Ctrl-C in their terminals
        one.wait()
    time.sleep(1)
    assert servers(home) == [first]

    later = python(START.format(seconds=0), machine).communicate()[0]
    assert json.loads(later) == [url, False]

    first.kill()  # it leaves its pid file
    first.wait()
    assert (home / "server.pid").exists()
    anew = python(START.format(seconds=0), machine).communicate()[0]
    assert json.loads(anew)[1]
    (second,) = servers(home)

    stop = [sys.executable, "-m", "prefect", "server", "stop"]
    subprocess.run(stop, env=machine, capture_output=True, check=True)
    second.wait(timeout=60)
    assert servers(home) == []


WORK = """
import time
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from flows.orchestration.server import find_or_start_api, use_api, worker
use_api(find_or_start_api())
with get_client(sync_client=True) as client:
    client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
with worker("cpu", "q", name="one", limit=1, environment={"OURS": "yes"}):
    print("begun", flush=True)
    time.sleep(600)
"""


def until_one_worker(home: Path, other_than: psutil.Process | None = None) -> psutil.Process:
    for _ in range(600):
        for process in psutil.process_iter(["environ"]):
            environment = process.info["environ"] or {}
            ours = environment.get("PREFECT_HOME") == str(home) and environment.get("OURS")
            if ours and process != other_than:
                return process
        time.sleep(0.1)
    pytest.fail("no worker came")


@pytest.mark.slow
def test_a_killed_worker_is_restarted_and_ends_with_its_command(machine: dict[str, str]) -> None:
    home = Path(machine["PREFECT_HOME"])
    command = python(WORK, machine)
    assert command.stdout is not None
    assert command.stdout.readline() == "begun\n"
    first = until_one_worker(home)
    first.kill()
    second = until_one_worker(home, other_than=first)
    command.kill()
    second.wait(timeout=60)
    assert not second.is_running()
