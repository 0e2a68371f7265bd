"""Starting a Prefect server, and workers for it."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from prefect.settings import (
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_HOST,
    temporary_settings,
)

from flows.orchestration import server
from flows.orchestration.api import Api
from flows.orchestration.locks import lock
from tasks.errors import InputError
from tests.support.commands import environment_of, free_port, impostor, output_of
from tests.support.documents import blocks

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "workhorse.example"])
def test_a_public_server_without_a_password_is_refused(home: Path, host: str) -> None:
    with (
        temporary_settings({PREFECT_SERVER_API_HOST: host}),
        pytest.raises(InputError, match=rf"HOST is {host}, .* set PREFECT_SERVER_API_AUTH_STRING"),
        server.supervised_api(),
    ):
        pytest.fail("a server was started")


def test_a_server_with_a_password_listens_on_the_configured_host(home: Path) -> None:
    changes = {PREFECT_SERVER_API_HOST: "0.0.0.0", PREFECT_SERVER_API_AUTH_STRING: "me:secret"}
    with temporary_settings(changes):
        assert server._server_host() == "0.0.0.0"
    for host in ("127.0.0.1", "localhost", "127.0.0.2", "::1"):
        with temporary_settings({PREFECT_SERVER_API_HOST: host}):
            assert server._server_host() == "127.0.0.1"


def test_the_pid_file_of_a_dead_server_is_removed(home: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    for content in (str(ended.pid), "", "no number", str(os.getpid())):  # the last: another program
        (home / "server.pid").write_text(content)
        server._remove_stale_pid_file()
        assert not (home / "server.pid").exists(), content


def test_the_pid_file_of_a_running_server_is_kept(home: Path) -> None:
    ours = Path(server.__file__).parent / "guarded_server.py"
    assert ours.exists()
    for name in ("flows.orchestration.guarded_server", "prefect.server.api.server:create_app"):
        check_pid_file_of(home, name)


def check_pid_file_of(home: Path, name: str) -> None:
    words = [sys.executable, "-c", "input('runs')", name]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        # Linux shows no command line of a process until some time after Popen has returned.
        assert process.stdout is not None
        assert process.stdout.read(4) == b"runs"
        (home / "server.pid").write_text(str(process.pid))
        server._remove_stale_pid_file()
        assert (home / "server.pid").exists()
        process.kill()


def python(code: str, environment: dict[str, str], cwd: Path = ROOT) -> "subprocess.Popen[str]":
    """Start some code in a process, and a session, of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


START = (
    "import sys\nsys.path[:] = filter(None, sys.path)\n"  # as an installed command has it
    "import json, time\nfrom flows.orchestration.server import find_or_start_api\n"
    "api = find_or_start_api()\n"
    "print(json.dumps([api.url, api.started]), flush=True)\ntime.sleep({seconds})"
)


def servers(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        environment = process.info["environ"] or {}
        ours = environment.get("PREFECT_HOME") == str(home)
        if ours and process.info["cmdline"][2:3] == [server.MODULE]:
            found.append(process)
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A fresh home, with a space in its path, whose usual port another program holds, which agrees
    to everything and hears no password."""
    home = tmp_path / "my home"
    with impostor() as (port, seen):
        try:
            yield environment_of(home, port)
        finally:
            for process in servers(home):
                process.kill()
    assert seen == []


def status_of(url: str, path: str, **headers: str) -> tuple[int, Mapping[str, str]]:
    """Status and headers of the answer to a request."""
    request = urllib.request.Request(url.removesuffix("/api") + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(password.encode()).decode()


def check_that_it_is_closed(url: str, home: Path) -> None:
    """To all but who knows the password, has the right name for it, and is no page of others."""
    file = home / "unseen-server-password"
    password = file.read_text().strip()
    known = basic(password)
    assert status_of(url, "/api/work_pools/count")[0] == 401
    assert status_of(url, "/api/admin/version")[0] == 401
    assert status_of(url, "/api/admin/version", Authorization=basic("unseen:guess"))[0] == 401
    assert status_of(url, "/api/admin/version", Authorization=known)[0] == 200
    rebound = {"Host": "attacker.example", "Authorization": known}
    assert status_of(url, "/api/admin/version", **rebound)[0] == 400
    for page, allowed in (("https://attacker.example", None), (url.removesuffix("/api"), "")):
        _, headers = status_of(url, "/ui-settings", Origin=page)
        found = {name.lower(): value for name, value in headers.items()}
        assert found.get("access-control-allow-origin") == (allowed if allowed is None else page)
    for secret in (file, home / "unseen-server-key", home / "unseen-server.json"):
        assert secret.stat().st_mode & 0o777 == 0o600
    (process,) = servers(home)
    assert password not in " ".join(process.cmdline())
    assert password not in (home / "unseen-server.log").read_text()


def check_that_prefect_works_as_the_docs_say(url: str, home: Path) -> None:
    text = (ROOT / "docs" / "ui.md").read_text()
    (block,) = (one for one in blocks(text, "console") if "prefect" in one.split())
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    said = "; ".join(lines).replace("http://127.0.0.1:4200/api", url)
    said = said.replace("~/.prefect/unseen-server-password", f"'{home}/unseen-server-password'")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = output_of(
        "sh", "-ec", said, cwd=home, environment=environment_of(home, 9) | {"PATH": path}
    )
    assert told == "No flow runs found.\n"  # not: unauthorised


def test_one_server_is_started_kept_and_replaced_after_a_kill(
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

    check_that_it_is_closed(url, home)
    check_that_prefect_works_as_the_docs_say(url, home)

    for one in both:
        os.killpg(one.pid, signal.SIGINT)  # Ctrl-C in their terminals
        one.wait()
    time.sleep(1)
    assert servers(home) == [first]

    later = python(START.format(seconds=0), machine).communicate()[0]
    assert json.loads(later) == [url, False]

    photos = home.parent / "photos"  # a dataset with code in it
    photos.mkdir()
    for name in ("prefect", "uvicorn", "starlette", "flows", "asyncio", "json"):
        (photos / f"{name}.py").write_text(f"open('{photos}/it ran', 'w'); raise SystemExit")

    first.kill()  # it leaves its pid file
    first.wait()
    assert (home / "server.pid").exists()
    anew = python(START.format(seconds=0), machine, cwd=photos).communicate()[0]
    assert json.loads(anew)[1]
    assert not (photos / "it ran").exists()
    (second,) = servers(home)

    stop = [sys.executable, "-m", "prefect", "server", "stop"]
    subprocess.run(stop, env=machine, capture_output=True, check=True)
    second.wait(timeout=60)
    assert servers(home) == []


@pytest.mark.slow
def test_two_users_who_start_at_the_same_time_get_a_server_each(tmp_path: Path) -> None:
    port = free_port()
    homes = [tmp_path / name for name in ("ann", "bob")]
    try:
        both = [python(START.format(seconds=0), environment_of(home, port)) for home in homes]
        urls = [json.loads(one.communicate()[0])[0] for one in both]
        assert len(set(urls)) == 2
        assert f"http://127.0.0.1:{port}/api" in urls
        secrets = [(home / "unseen-server-password").read_text().strip() for home in homes]
        for mine, url in enumerate(urls):
            for whose, secret in enumerate(secrets):
                status, _ = status_of(url, "/api/admin/version", Authorization=basic(secret))
                assert status == (200 if whose == mine else 401)
        again = python(START.format(seconds=0), environment_of(homes[1], port)).communicate()[0]
        assert json.loads(again) == [urls[1], False]
    finally:
        for home in homes:
            for process in servers(home):
                process.kill()


def test_a_server_that_its_supervisor_restarts_is_waited_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Api(url="http://127.0.0.1:9/api", started=False, password="me:secret")
    answers = [None, None, None, found]
    monkeypatch.setattr(server, "find_api", lambda: answers.pop(0))
    with lock(server.SUPERVISED):
        assert server.find_or_start_api() == found
    assert answers == []


TEMPORARY = """
import json, os, urllib.error, urllib.request
from flows.orchestration.api import use_temporary_api
use_temporary_api()
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    known = client.read_work_pools()
    try:
        urllib.request.urlopen(f"{client.api_url}work_pools/count").close()
    except urllib.error.HTTPError as error:
        print(json.dumps([known, error.code]))
"""


@pytest.mark.slow
def test_the_temporary_server_of_one_scene_wants_a_password_too(tmp_path: Path) -> None:
    said = python(TEMPORARY, environment_of(tmp_path, free_port())).communicate()[0]
    assert json.loads(said) == [[], 401]


WORK = """
import time
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from flows.orchestration.api import use_api
from flows.orchestration.server import find_or_start_api
from flows.orchestration.workers import worker
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
    password = (home / "unseen-server-password").read_text().strip()
    assert second.environ()["PREFECT_API_AUTH_STRING"] == password
    assert password not in " ".join(second.cmdline())
    command.kill()
    second.wait(timeout=60)
    assert not second.is_running()
