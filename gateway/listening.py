"""The socket that the gateway listens on; in a supervised mesh one for all gateways, opened by the supervisor."""
from __future__ import annotations

import errno
import socket

from gateway.auth import check_binding
from gateway.settings import Settings
from shared.kernel.errors import Conflict, Unavailable

BACKLOG = 512


def listen(settings: Settings) -> socket.socket:
    """A listening socket at the settings' host and port.

    Raises:
        Denied: the host needs authentication.
        Conflict: ``port_in_use``.
        Unavailable: the host is not an address of this machine, or the port may not be used.
    """
    check_binding(settings)
    host = settings.host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict("port_in_use", f"Port {settings.port} of {settings.host} is in use by another program.",
                           next_step="Stop that program, or choose another port with --port.") from None
        raise Unavailable("unavailable", f"The gateway cannot listen on {settings.host}, port {settings.port}: "
                          f"{error.strerror}.", next_step="Choose another --host or --port.") from None
    return listener
