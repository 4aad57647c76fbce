"""Whether the page can be served where it is asked for."""

from __future__ import annotations

import errno
import socket


def check_address(host: str, port: int | None = None) -> None:
    """Check that this machine has an address, and that a port of it is free.

    Gradio does not tell one from the other: it tries port after port, five seconds each, and says
    of any failure that no port was free.

    Args:
        host: Name or number of the address.
        port: Port; None checks the address alone.

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
    # A name may stand for several addresses (localhost), of which one is enough.
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
    """Bind a socket as the server will, and let it go; why that fails, if it does."""
    try:
        with socket.socket(family, kind, protocol) as probe:
            # The connections of a page that has just ended do not keep its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
