"""Tests of the code that the command-line tools share."""

from __future__ import annotations

import os
import re
import signal
import time

from lpv_mmocr import cli

import pytest
from mmengine.config import Config
from mmocr.registry import MODELS


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


def test_second_sigterm_does_not_interrupt_the_clean_up():
    cleaned = []
    with pytest.raises(KeyboardInterrupt), cli.sigterm_interrupts():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append("all")
    assert cleaned == ["all"]


class TestErrorsOfComponents:
    @pytest.fixture
    def error_of(self, capsys):
        def run(**options) -> str:
            config = dict(type="LPVSVTREncoder", img_size=(32, 64), embed_dims=(8, 8, 16))
            config.update(depths=(1, 1, 1), num_heads=(1, 1, 2), num_local_blocks=1, **options)
            with pytest.raises(SystemExit, match="2"), cli.ReportInputErrors():
                MODELS.build(config)
            return capsys.readouterr().err

        return run

    def test_one_that_cannot_be_built_is_named(self, error_of):
        assert re.fullmatch(
            r"error: LPVSVTREncoder cannot be built: TypeError: .* \(--traceback shows where\)\n",
            error_of(merge_strides=2),
        )

    def test_messages_for_users_stay_as_they_are(self, error_of):
        assert "cannot be built" not in error_of(drop_path_rate=-1)

    def test_other_errors_keep_their_traceback(self):
        with pytest.raises(ZeroDivisionError), cli.ReportInputErrors():
            raise ZeroDivisionError
        with pytest.raises(TypeError), cli.ReportInputErrors(traceback=True):
            MODELS.build(dict(type="LPVSVTREncoder", img_size=32))


def test_processes_after_the_first_report_errors_later(monkeypatch, capsys):
    """Its data may be the only ones that are missing; if not, the launcher ends it meanwhile."""
    waits = []
    monkeypatch.setattr(cli.distributed, "is_local_main_process", lambda: False)
    monkeypatch.setattr(cli.time, "sleep", waits.append)
    with pytest.raises(SystemExit, match="2"), cli.ReportInputErrors():
        raise cli.InputError("no data here")
    assert waits == [cli.OTHERS_WAIT_SECONDS]
    assert capsys.readouterr().err == "error (not in the first process): no data here\n"
