"""Check ports of this machine before a server uses them."""

from __future__ import annotations

import socket


def check_port(port: int) -> None:
    """Check that a port is free.

    Raises:
        ValueError: Another process uses the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(
                f"port {port} is not available ({error.strerror}); use another: --port {port + 1}"
            ) from error
