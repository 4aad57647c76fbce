"""Tests of checking the address at which the page is to be served."""

from __future__ import annotations

import errno
import socket

from lpv_mmocr.demo.address import check_address

import pytest


@pytest.fixture
def taken():
    """Port of 127.0.0.1 that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_addresses_of_this_machine_are_accepted(host):
    check_address(host)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    check_address(host, port)


@pytest.mark.parametrize("host", ["1.2.3.4", "no such name", "a" * 70])
def test_other_addresses_are_refused(host):
    with pytest.raises(OSError, match=rf"^this machine has no address {host} \(--host\)$"):
        check_address(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_port_in_use_is_refused(taken, host):
    with pytest.raises(OSError, match=f"^port {taken} is in use; choose another with --port, or"):
        check_address(host, taken)


def test_privileged_port_is_refused(monkeypatch):
    def bind(self, address):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(OSError, match=r"at 127\.0\.0\.1 \(--host\), port 80: Permission denied$"):
        check_address("127.0.0.1", 80)


def test_one_address_of_a_name_is_enough(monkeypatch):
    """For example, localhost is also ::1 in containers without IPv6."""
    entry = socket.AF_INET, socket.SOCK_STREAM, 0, ""
    found = [(*entry, ("1.2.3.4", 0)), (*entry, ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    check_address("localhost")
