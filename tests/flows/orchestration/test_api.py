"""Discovery of a Prefect API, with every obstacle of a machine."""

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


def test_without_any_server_no_api_is_found(home: Path) -> None:
    assert api.find_api() is None


def test_a_configured_api_that_is_dead_is_an_error_with_its_address(home: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(MachineError, match=r"http://127\.0\.0\.1:9/api .*does not answer; start"),
    ):
        api.find_api()


def test_the_configured_api_takes_precedence(home: Path) -> None:
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


def test_a_server_on_the_default_port_is_found_if_the_remembered_one_is_gone(home: Path) -> None:
    (home / "unseen-server.json").write_text('{"url": "http://127.0.0.1:9/api"}')
    with answering(b"true") as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        found = api.find_api()
    assert found is not None
    assert found.url == f"http://127.0.0.1:{port}/api"


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"address": 1}'])
def test_a_damaged_server_record_is_ignored(home: Path, memory: str) -> None:
    (home / "unseen-server.json").write_text(memory)
    assert api.find_api() is None


@pytest.mark.parametrize("content", [b"<html>hello</html>", b'{"ok": true}', b"", b"\xff"])
def test_another_program_on_the_default_port_is_no_api(home: Path, content: bytes) -> None:
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
def test_an_unauthorised_api_is_an_error_without_the_password(
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


def test_an_api_with_matching_credentials_is_found(home: Path) -> None:
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


def test_a_local_server_is_called_with_its_own_password(home: Path) -> None:
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
def test_a_server_on_a_public_host_is_reached_at_a_local_url(host: str, url: str) -> None:
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
def test_an_api_is_local_only_if_started_here_and_bound_to_loopback(
    home: Path, named: str, remembered: str, host: str, expected: bool
) -> None:
    (home / "unseen-server.json").write_text(json.dumps({"url": remembered}))
    with temporary_settings({PREFECT_API_URL: named, PREFECT_SERVER_API_HOST: host}):
        assert api.is_for_this_machine() is expected


def test_without_a_server_no_api_is_local(home: Path) -> None:
    assert not api.is_for_this_machine()


def test_proxies_are_bypassed_for_local_addresses(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(b"true") as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        assert api.find_api() is not None
    assert os.environ["NO_PROXY"].split(",") == ["example.org", "127.0.0.1", "localhost"]
