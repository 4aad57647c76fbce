"""Check that the page can be served at the requested address."""

from __future__ import annotations

import errno
import socket


def check_address(host: str, port: int | None = None) -> None:
    """Check that this machine has an address, and that a port on it is free.

    Gradio does not distinguish the two: it tries port after port, five seconds each, and reports
    any failure as a lack of free ports.

    Args:
        host: Host name or IP address.
        port: Port; None checks only the address.

    Raises:
        OSError: If the page cannot be served there; the message says why and names the option.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(f"this machine has no address {host} (--host)") from error
    errors = [error for entry in found if (error := _bind(*entry)) is not None]
    for error in errors:
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                f"port {port} is in use; choose another with --port, or leave it out"
            ) from error
    # A name such as localhost may have several addresses, of which one is enough.
    if len(errors) < len(found):
        return
    if errors[0].errno == errno.EADDRNOTAVAIL:
        raise OSError(f"this machine has no address {host} (--host)") from errors[0]
    raise OSError(
        f"the page cannot be served at {host} (--host), port {port or 'any'}: {errors[0].strerror}"
    ) from errors[0]


def _bind(
    family: int, kind: int, protocol: int, _: str, address: tuple[str | int, ...]
) -> OSError | None:
    """Bind a socket as the server will and close it; return the error if that fails."""
    try:
        with socket.socket(family, kind, protocol) as probe:
            # Connections of a page that has just been closed do not block its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
