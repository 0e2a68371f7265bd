"""Finding a Prefect API, with all that may be in the way on a machine."""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_HOST,
    PREFECT_SERVER_API_PORT,
    temporary_settings,
)

from flows.orchestration import api
from tasks.errors import InputError, MachineError
from tests.support.commands import answering, http_program


def test_without_any_server_none_is_found(home: Path) -> None:
    assert api.find_api() is None


def test_a_named_api_that_is_dead_is_an_error_with_its_address(home: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(MachineError, match=r"http://127\.0\.0\.1:9/api .*does not answer; start"),
    ):
        api.find_api()


def test_the_named_api_wins(home: Path) -> None:
    with (
        answering(b"true") as named,
        answering(b"true") as usual,
        temporary_settings(
            {PREFECT_API_URL: f"http://127.0.0.1:{named}/api/", PREFECT_SERVER_API_PORT: usual}
        ),
    ):
        found = api.find_api()
    assert found == api.Api(url=f"http://127.0.0.1:{named}/api", started=False)
    assert found.ui == f"http://127.0.0.1:{named}"


def test_a_server_on_the_usual_port_is_found_where_the_remembered_one_is_gone(home: Path) -> None:
    (home / "unseen-server.json").write_text('{"url": "http://127.0.0.1:9/api"}')
    with answering(b"true") as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        found = api.find_api()
    assert found is not None
    assert found.url == f"http://127.0.0.1:{port}/api"


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"address": 1}'])
def test_a_damaged_memory_is_no_memory(home: Path, memory: str) -> None:
    (home / "unseen-server.json").write_text(memory)
    assert api.find_api() is None


@pytest.mark.parametrize("content", [b"<html>hello</html>", b'{"ok": true}', b"", b"\xff"])
def test_another_program_on_the_usual_port_is_no_api(home: Path, content: bytes) -> None:
    with answering(content) as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        assert api.find_api() is None


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
    [(None, "and none is set"), ("me:guessed", "and refuses that of PREFECT_API_AUTH")],
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
        pytest.raises(InputError, match=f"requires a password, {said}") as refused,
    ):
        api.find_api()
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
        assert api.find_api() is not None


def test_a_server_of_ours_is_told_its_own_password(home: Path) -> None:
    with (
        asking_for("me:secret") as port,
        temporary_settings(
            {PREFECT_SERVER_API_PORT: port, PREFECT_SERVER_API_AUTH_STRING: "me:secret"}
        ),
    ):
        assert api.find_api() is not None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:4200/api"),
        ("10.0.0.5", "http://10.0.0.5:4200/api"),
        ("fd00::5", "http://[fd00::5]:4200/api"),
    ],
)
def test_a_server_that_listens_beyond_is_reached_from_here(host: str, url: str) -> None:
    assert api.url_of(4200, host) == url


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
        assert api.is_for_this_machine() is expected


def test_no_server_is_for_this_machine_where_none_is_used(home: Path) -> None:
    assert not api.is_for_this_machine()


def test_proxies_are_not_asked_for_what_is_on_this_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(b"true") as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        assert api.find_api() is not None
    assert os.environ["NO_PROXY"].split(",") == ["example.org", "127.0.0.1", "localhost"]
