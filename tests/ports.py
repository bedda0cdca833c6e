"""A port for a server that a test starts as a process of its own."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Free on 127.0.0.1 a moment ago, which is all that can be known."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
