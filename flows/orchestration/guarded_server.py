"""Prefect's server as we start it: it proves that it is ours, and has no other names than its own.

    python -m flows.orchestration.guarded_server [--socket DESCRIPTOR]

All else is as in 'prefect server start', with the settings of the environment. The socket is one
that the parent listens on; without it, the address is that of the settings.
"""

import argparse
import socket
import sys
import urllib.parse

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.orchestration.api import LOOPBACK, is_loopback, url_of
from flows.orchestration.identity import IDENTITY, proof, server_key
from flows.orchestration.listening import listen

LOOPBACK_NAMES = (LOOPBACK, "localhost")
FAILED_TO_START = 3


def guarded(app: ASGIApp, *, url: str, names: tuple[str, ...], key: str) -> ASGIApp:
    """An app before which challenges are answered and foreign names are refused.

    Args:
        url: of the API, which the answers are bound to.
        names: of the host, as requests may call it; "*" for any. A page of another site whose name
            an attacker points at this machine would otherwise be let in by the browser.
        key: see :func:`flows.orchestration.identity.server_key`.
    """

    async def prove(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != IDENTITY:
            await app(scope, receive, send)
            return
        asked = urllib.parse.parse_qs(scope["query_string"].decode("latin-1"))
        answer = proof(key, url, asked.get("challenge", [""])[0])
        await PlainTextResponse(answer)(scope, receive, send)

    return TrustedHostMiddleware(prove, allowed_hosts=names, www_redirect=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--socket", type=int, help="descriptor of a socket that listens")
    inherited = parser.parse_args().socket
    api = get_current_settings().server.api
    opened = listen(api.host, api.port) if inherited is None else socket.socket(fileno=inherited)
    app = guarded(
        create_app(final=True),
        url=url_of(api.port, api.host),
        # The names by which others reach this machine are not known here.
        names=LOOPBACK_NAMES if is_loopback(api.host) else ("*",),
        key=server_key(),
    )
    config = uvicorn.Config(
        app,
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
        log_level=get_current_settings().server.logging_level.lower(),
    )
    server = uvicorn.Server(config)
    server.run(sockets=[opened])
    if not server.started:
        sys.exit(FAILED_TO_START)


if __name__ == "__main__":
    main()
