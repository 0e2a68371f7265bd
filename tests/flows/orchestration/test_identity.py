"""Which server is ours: what ours answers, and what no other program can."""

import asyncio
import hashlib
import hmac
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from flows.orchestration import identity
from flows.orchestration.guarded_server import guarded
from flows.orchestration.listening import listen, listen_near
from tasks.errors import InputError, MachineError
from tests.support.commands import answering, free_port, http_program

CHALLENGE = "/unseen/identity?challenge="


@dataclass
class Guarded:
    """A small app behind our guard, on a port of its own."""

    url: str
    met: list[str] = field(default_factory=list)
    """Paths of the requests that came through."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.met.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"an app"})


@pytest.fixture
def ours(home: Path) -> Iterator[Guarded]:
    port = free_port()
    app = Guarded(url=f"http://127.0.0.1:{port}/api")
    names = ("127.0.0.1", "localhost")
    guard = guarded(app, url=app.url, names=names, key=identity.server_key())
    server = uvicorn.Server(uvicorn.Config(guard, lifespan="off", log_level="error"))
    opened = listen("127.0.0.1", port)
    thread = threading.Thread(target=server.run, args=([opened],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield app
    finally:
        server.should_exit = True
        thread.join()


def test_a_server_with_the_key_of_our_home_is_ours(ours: Guarded, home: Path) -> None:
    assert identity.is_ours(ours.url)
    key = (home / "unseen-server-key").read_text().strip()
    with urllib.request.urlopen(f"{ours.url[:-4]}{CHALLENGE}abc") as reply:
        said = reply.read().decode()
    message = f"unseen server {ours.url} abc".encode()
    assert said == hmac.new(key.encode(), message, hashlib.sha256).hexdigest()
    (home / "unseen-server-key").unlink()
    assert not identity.is_ours(ours.url)
    identity.server_key()  # of another home
    assert not identity.is_ours(ours.url)


def test_an_old_answer_of_ours_proves_nothing_again(ours: Guarded) -> None:
    with urllib.request.urlopen(f"{ours.url[:-4]}{CHALLENGE}abc") as reply:
        heard = reply.read()
    with answering(heard) as port:
        assert not identity.is_ours(f"http://127.0.0.1:{port}/api")


def test_a_program_that_passes_the_challenge_on_to_ours_is_not_ours(ours: Guarded) -> None:
    def ask_ours(request: BaseHTTPRequestHandler) -> None:
        with urllib.request.urlopen(ours.url[:-4] + request.path) as reply:
            request.send_response(200)
            request.end_headers()
            request.wfile.write(reply.read())

    def send_on(request: BaseHTTPRequestHandler) -> None:
        request.send_response(307)
        request.send_header("Location", ours.url[:-4] + request.path)
        request.end_headers()

    for deceive in (ask_ours, send_on):
        with http_program(deceive) as port:
            assert not identity.is_ours(f"http://127.0.0.1:{port}/api")


@pytest.mark.parametrize("content", [b"true", b"", b"\xff\xfe", b"x" * 100_000])
def test_no_other_answer_passes_for_a_proof(home: Path, content: bytes) -> None:
    identity.server_key()
    with answering(content) as port:
        assert not identity.is_ours(f"http://127.0.0.1:{port}/api")


def test_a_program_that_never_answers_is_given_up(home: Path) -> None:
    identity.server_key()
    with listen("127.0.0.1", 0) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        assert not identity.is_ours(url, seconds=0.2)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:4200", 200),
        ("LOCALHOST", 200),
        ("attacker.example", 400),
        ("attacker.example:4200", 400),
        ("127.0.0.1.attacker.example", 400),
        ("10.0.0.5", 400),
        ("", 400),
    ],
)
def test_a_request_under_a_foreign_name_is_refused(ours: Guarded, host: str, status: int) -> None:
    for path in ("/api/flow_runs", CHALLENGE + "abc"):
        request = urllib.request.Request(ours.url[:-4] + path, headers={"Host": host})
        try:
            found = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            found = error.code
        assert found == status
    assert ours.met == ["/api/flow_runs"] * (status == 200)


def test_a_websocket_under_a_foreign_name_is_refused() -> None:
    met: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        met.append(scope["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    guard = guarded(app, url="http://127.0.0.1:1/api", names=("localhost",), key="k")
    for host in (b"attacker.example", b"localhost:1"):
        scope = {"type": "websocket", "path": "/api/events/out", "headers": [(b"host", host)]}
        asyncio.run(guard(scope, receive, send))
    assert met == ["websocket"]  # the second
    assert sent


def test_secrets_are_closed_to_others_from_the_start_and_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    replace = Path.replace

    def replace_and_look(self: Path, target: Path) -> Path:
        modes.append(self.stat().st_mode & 0o777)
        assert self.read_text().strip()
        assert not target.exists()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_and_look)
    before = os.umask(0)
    try:
        key, password = identity.server_key(), identity.make_password()
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    files = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()}
    assert files == {"unseen-server-key": 0o600, "unseen-server-password": 0o600}
    assert (identity.server_key(), identity.make_password()) == (key, password)
    assert identity.generated_password() == password
    assert len(key) == 64
    assert len(password) > 30


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_secret_that_others_may_have_read_or_written_is_refused(home: Path, mode: int) -> None:
    identity.server_key()
    (home / "unseen-server-key").chmod(mode)
    for use in (identity.server_key, lambda: identity.is_ours("http://127.0.0.1:9/api")):
        with pytest.raises(MachineError, match=rf"mode {mode:o}.*delete the file"):
            use()


def test_of_two_who_want_one_port_at_the_same_time_each_gets_one() -> None:
    port = free_port()
    with listen_near("127.0.0.1", port) as first, listen_near("127.0.0.1", port) as second:
        found = [one.getsockname()[1] for one in (first, second)]
    assert found[0] == port
    assert found[1] not in (0, port)


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.1, port 4200 .*; set PREF"):
        listen_near("192.0.2.1", 4200)
