"""Discovery of a Prefect API, with every obstacle of a machine."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_HOST,
    PREFECT_SERVER_API_PORT,
    temporary_settings,
)

from flows.orchestration import api, identity
from tasks.errors import InputError, MachineError
from tests.support.commands import answering, http_program, impostor

OPEN = ("/api/health", "/unseen/identity")
"""Places that want no password."""
RECORD = '{{"url": "http://127.0.0.1:{port}/api", "generated_password": true}}'


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


def test_what_answers_on_the_usual_port_is_left_alone(home: Path) -> None:
    (home / "unseen-server.json").write_text(RECORD.format(port=9))
    known = {PREFECT_API_AUTH_STRING: "me:secret", PREFECT_SERVER_API_AUTH_STRING: "me:secret"}
    with impostor() as (port, seen), temporary_settings(known | {PREFECT_SERVER_API_PORT: port}):
        assert api.find_api() is None
    assert seen == []


@pytest.mark.parametrize("generated", ["true", "false"])
def test_an_impostor_on_the_remembered_port_is_not_used_and_hears_no_password(
    home: Path, generated: str
) -> None:
    identity.server_key()
    identity.make_password()
    known = {PREFECT_API_AUTH_STRING: "me:secret", PREFECT_SERVER_API_AUTH_STRING: "me:secret"}
    with impostor() as (port, seen), temporary_settings(known | {PREFECT_SERVER_API_PORT: port}):
        record = RECORD.format(port=port).replace("true", generated)
        (home / "unseen-server.json").write_text(record)
        assert api.find_api() is None
    assert seen
    assert all("authorization" not in headers for headers in seen)


def test_the_generated_password_is_not_sent_to_a_named_server_that_is_not_ours(home: Path) -> None:
    identity.server_key()
    password = identity.make_password()
    with impostor() as (port, seen):
        (home / "unseen-server.json").write_text(RECORD.format(port=port))
        named = {PREFECT_API_URL: f"http://127.0.0.1:{port}/api", PREFECT_API_AUTH_STRING: password}
        with (
            temporary_settings(named),
            pytest.raises(MachineError, match="is not that server, so it was not sent") as refused,
        ):
            api.find_api()
    assert password not in str(refused.value)
    assert seen
    assert all("authorization" not in headers for headers in seen)


def test_a_named_server_is_sent_the_password_that_the_user_gave_for_it(home: Path) -> None:
    identity.make_password()
    with impostor() as (port, seen):
        named = {PREFECT_API_URL: f"http://127.0.0.1:{port}/api", PREFECT_API_AUTH_STRING: "me:x"}
        with temporary_settings(named):
            assert api.find_api() == api.Api(url=f"http://127.0.0.1:{port}/api", started=False)
    told = {headers["authorization"] for headers in seen if "authorization" in headers}
    assert told == {"Basic " + base64.b64encode(b"me:x").decode()}


@pytest.mark.parametrize(
    "memory", ["", "{", "[]", '{"address": 1}', '{"url": "http://127.0.0.1:9"}']
)
def test_a_damaged_server_record_is_ignored(home: Path, memory: str) -> None:
    (home / "unseen-server.json").write_text(memory)
    assert api.find_api() is None


@pytest.mark.parametrize("content", [b"<html>hello</html>", b'{"ok": true}', b"", b"\xff"])
def test_another_program_on_the_default_port_is_no_api(home: Path, content: bytes) -> None:
    with answering(content) as port, temporary_settings({PREFECT_SERVER_API_PORT: port}):
        assert api.find_api() is None


@contextlib.contextmanager
def asking_for(password: str, key: str = "") -> Iterator[int]:
    """A program that tells everybody that it is well, and the rest to who knows the password.

    Args:
        key: of the home that it proves to be of.
    """
    expected = "Basic " + base64.b64encode(password.encode()).decode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        known = request.headers.get("Authorization") == expected
        place, _, challenge = request.path.partition("?challenge=")
        request.send_response(200 if known or place in OPEN else 401)
        request.end_headers()
        message = f"unseen server http://127.0.0.1:{found}/api {challenge}".encode()
        proof = hmac.new(key.encode(), message, hashlib.sha256).hexdigest().encode()
        request.wfile.write(proof if challenge else b"true")

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


@pytest.mark.parametrize("generated", [True, False])
def test_a_server_of_ours_is_called_with_its_own_password(home: Path, generated: bool) -> None:
    password = identity.make_password() if generated else "me:secret"
    # Of other servers, and not to be sent to this one.
    others = {PREFECT_API_AUTH_STRING: "me:a-site", PREFECT_SERVER_API_AUTH_STRING: "me:a-site"}
    changes = others if generated else {PREFECT_SERVER_API_AUTH_STRING: password}
    with asking_for(password, identity.server_key()) as port, temporary_settings(changes):
        record = {"url": f"http://127.0.0.1:{port}/api", "generated_password": generated}
        (home / "unseen-server.json").write_text(json.dumps(record))
        found = api.find_api()
        assert found is not None
        assert (found.url, found.started, found.password) == (record["url"], False, password)
        assert found.password_file == (home / "unseen-server-password" if generated else None)
        assert password not in repr(found)
        with temporary_settings({PREFECT_API_URL: found.url}):  # as our own processes have it
            assert api.find_api() == found


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
    ("named", "ours", "host", "expected"),
    [
        (URL, URL, "127.0.0.1", True),
        (URL, None, "127.0.0.1", False),
        ("http://127.0.0.1:9/api", URL, "127.0.0.1", False),
        (URL, URL, "0.0.0.0", False),
    ],
    ids=["ours", "somebody's, by a tunnel", "another one", "ours, for others too"],
)
def test_an_api_is_local_only_if_it_proved_to_be_ours_and_is_bound_to_loopback(
    home: Path, monkeypatch: pytest.MonkeyPatch, named: str, ours: str, host: str, expected: bool
) -> None:
    (home / "unseen-server.json").write_text(RECORD.format(port=4321))
    monkeypatch.delenv("UNSEEN_OWN_API", raising=False)
    if ours:
        monkeypatch.setenv("UNSEEN_OWN_API", ours)
    with temporary_settings({PREFECT_API_URL: named, PREFECT_SERVER_API_HOST: host}):
        assert api.is_for_this_machine() is expected


def test_without_a_server_no_api_is_local(home: Path) -> None:
    assert not api.is_for_this_machine()


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_proxies_are_bypassed_for_local_addresses(
    home: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(b"true") as port:
        named = {PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}
        with temporary_settings(named):
            assert api.find_api() is not None
            with get_client(sync_client=True) as client:
                assert client.api_healthcheck() is None
    assert os.environ["NO_PROXY"].split(",") == ["example.org", "127.0.0.1", "localhost"]
