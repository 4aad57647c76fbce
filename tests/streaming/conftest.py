from __future__ import annotations

import signal

import pytest
from streaming_cases import PATIENCE

SECONDS = 3 * PATIENCE


@pytest.fixture(autouse=True)
def deadline():
    """Let a test fail instead of waiting for ever for processes and images that do not come."""

    def give_up(number, frame) -> None:
        pytest.fail(f"this test has taken {SECONDS} seconds")  # no Exception, so nothing handles it

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
