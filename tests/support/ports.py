"""Free ports of the loopback interface."""
from __future__ import annotations

import socket


def free_port() -> int:
    """A port that nobody listens on at this moment; somebody may take it before the caller does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
