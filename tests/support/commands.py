"""Other programs in tests: run, or stood in for."""

import contextlib
import http.server
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"


def script(name: str) -> Any:
    """A script among the deployments, as a module."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, DEPLOYMENTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look for their module there
        spec.loader.exec_module(module)
    return sys.modules[name]


def output_of(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command that must succeed prints, errors included."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def free_port() -> int:
    """On loopback; nobody listens there now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment_of(home: Path, port: int) -> dict[str, str]:
    """Ours, but that Prefect has this home, its server this port, and nothing else is set of it."""
    set_by_us = ("PREFECT_", "PYTHONSAFEPATH", "UNSEEN_OWN_API")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(set_by_us)}
    return kept | {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_PORT": str(port)}


@contextlib.contextmanager
def http_program(
    answer: Callable[[http.server.BaseHTTPRequestHandler], None], port: int = 0
) -> Iterator[int]:
    """A program that answers on loopback while the block runs; its port, a free one for 0."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    program = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=program.serve_forever, daemon=True).start()
    try:
        yield program.server_port
    finally:
        program.shutdown()
        program.server_close()


@contextlib.contextmanager
def answering(content: bytes, port: int = 0) -> Iterator[int]:
    """A program that gives the same answer to everything; its port."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(content)

    with http_program(answer, port) as found:
        yield found


@contextlib.contextmanager
def impostor(port: int = 0) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A program that agrees to everything, as whoever wants our password and our work would; its
    port, and the headers that it was sent."""
    seen: list[dict[str, str]] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(b"true")

    with http_program(answer, port) as found:
        yield found, seen
