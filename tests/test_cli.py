"""Tests of the code that the command-line tools share."""

from __future__ import annotations

import os
import signal
import time

from lpv_mmocr import cli

import pytest
from mmengine.config import Config


@pytest.mark.parametrize(
    ("randomness", "given", "expected"),
    [
        (dict(seed=1), None, None),
        (None, None, None),
        (dict(deterministic=True), None, ":4096:8"),
        (dict(deterministic=True), ":16:8", ":16:8"),
    ],
)
def test_cublas_is_told_to_be_deterministic(monkeypatch, randomness, given, expected):
    """With some versions of PyTorch, deterministic training on a GPU fails without the variable."""
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.setenv(name, given or "")
    if given is None:
        monkeypatch.delenv(name)
    monkeypatch.setattr(cli.Runner, "from_cfg", lambda cfg: os.environ.get(name))
    assert cli.build_runner(Config(dict(randomness=randomness))) == expected


def test_sigterm_interrupts_a_block_and_its_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), cli.sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before
