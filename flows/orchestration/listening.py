"""Sockets that listen: whoever has one has its port, at once and to himself."""

import errno
import socket

from tasks.errors import InputError


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port.

    Raises:
        OSError: another program has it, or it cannot be had at all.
    """
    # The address family of IPv6 takes IPv4 too, where it is that of every interface.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")


def listen_near(host: str, port: int) -> socket.socket:
    """Listen on a port, or on a free one where another program has it.

    Raises:
        InputError: the host is none of this machine, or the port is reserved.
    """
    try:
        return listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return listen(host, 0)
        raise InputError(
            f"the Prefect server cannot listen on {host}, port {port} ({error.strerror}); set "
            "PREFECT_SERVER_API_HOST and PREFECT_SERVER_API_PORT to an address of this machine"
        ) from error
