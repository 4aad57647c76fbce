"""Tests of launchers without a GPU; for real processes see tests/tools/test_dist_scripts.py."""

from __future__ import annotations

import os

from lpv_mmocr import cli
from lpv_mmocr.engine import distributed

import pytest
from mmengine.config import Config

RANKS = [name for names in distributed._RANK_VARIABLES.values() for name in names]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in [*RANKS, "MASTER_ADDR", "MASTER_PORT", "SLURM_NODELIST"]:
        monkeypatch.setenv(name, "")  # so that it is restored, whatever the code under test sets
        monkeypatch.delenv(name)


@pytest.fixture
def joined(monkeypatch):
    """Return the arguments of requested process groups, none of which is created."""
    calls = []
    monkeypatch.setattr(distributed, "_joined_with_gloo", False)
    monkeypatch.setattr(distributed, "_launcher", "none")
    monkeypatch.setattr(distributed, "get_device", lambda: "cpu")
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: False)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda **kw: calls.append(kw))
    return calls


def start_as(launcher: str, rank: int, world: int) -> None:
    values = (str(rank), str(world), str(rank))
    os.environ.update(zip(distributed._RANK_VARIABLES[launcher], values, strict=True))


@pytest.mark.parametrize("launcher", ["pytorch", "slurm", "mpi"])
def test_cpu_processes_join_with_gloo(joined, launcher):
    start_as(launcher, 1, 2)
    os.environ["MASTER_ADDR"] = "node0"
    cfg = Config(dict(find_unused_parameters=True, env_cfg=dict(dist_cfg=dict(timeout=60))))
    distributed.set_launcher(cfg, launcher)
    assert [call["backend"] for call in joined] == ["gloo"]
    assert joined[0]["timeout"].total_seconds() == 60
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == ("1", "2")
    assert cfg.launcher == launcher
    assert cfg.model_wrapper_cfg["device_ids"] is None
    assert cfg.model_wrapper_cfg.find_unused_parameters
    assert distributed._joined_with_gloo


@pytest.mark.parametrize("launcher", ["pytorch", "slurm", "mpi"])
def test_first_process_is_known_before_mmengine_joins(joined, monkeypatch, launcher):
    """On a GPU, MMEngine sets RANK only when it creates the runner."""
    monkeypatch.setattr(distributed, "get_device", lambda: "cuda")
    for rank in (0, 1):
        start_as(launcher, rank, 2)
        distributed.set_launcher(Config({}), launcher)
        assert distributed.is_first_process() is (rank == 0)
    os.environ[distributed._RANK_VARIABLES[launcher][2]] = "0"  # the first one of another machine
    assert distributed.is_local_main_process()


def test_process_without_a_launcher_always_reports_errors(joined, capfd, monkeypatch):
    start_as("pytorch", 1, 2)
    assert distributed.is_first_process() and distributed.is_local_main_process()
    with pytest.raises(SystemExit), cli.ReportInputErrors():
        raise cli.InputError("there is no such thing")
    assert capfd.readouterr().err == "error: there is no such thing\n"
    distributed.name_launcher("pytorch")
    monkeypatch.setattr(cli, "OTHERS_WAIT_SECONDS", 0)
    with pytest.raises(SystemExit), cli.ReportInputErrors():
        raise cli.InputError("said by the first process, too")
    shown = capfd.readouterr().err
    assert shown == "error (not in the first process): said by the first process, too\n"


def test_joined_process_does_not_join_again(joined, monkeypatch):
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    start_as("pytorch", 0, 1)
    distributed.set_launcher(Config({}), "pytorch")
    assert not joined


def test_model_wrapper_of_the_config_is_kept(joined):
    start_as("pytorch", 0, 1)
    os.environ["MASTER_ADDR"] = "node0"
    cfg = Config(dict(model_wrapper_cfg=dict(type="Own", broadcast_buffers=True)))
    distributed.set_launcher(cfg, "pytorch")
    assert cfg.model_wrapper_cfg.type == "Own"
    assert cfg.model_wrapper_cfg.broadcast_buffers


def test_slurm_finds_the_first_node(joined, tmp_path, monkeypatch):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[3-4]" ] && printf "n3\\nn4\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    start_as("slurm", 0, 2)
    os.environ["SLURM_NODELIST"] = "n[3-4]"
    distributed.set_launcher(Config({}), "slurm")
    assert os.environ["MASTER_ADDR"] == "n3"


def test_gpu_processes_are_left_to_mmengine(joined, monkeypatch):
    monkeypatch.setattr(distributed, "get_device", lambda: "cuda")
    start_as("pytorch", 0, 2)
    cfg = Config({})
    distributed.set_launcher(cfg, "pytorch")
    assert not joined
    assert cfg.to_dict() == dict(launcher="pytorch")


def test_single_process_needs_no_process_group(joined):
    cfg = Config({})
    distributed.set_launcher(cfg, "none")
    assert not joined
    assert cfg.to_dict() == dict(launcher="none")


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("slurm", "SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID is not set here"),
        ("carrier-pigeon", "launcher must be one of none, pytorch, slurm, mpi"),
    ],
)
def test_invalid_launcher_is_refused(launcher, message):
    with pytest.raises(ValueError, match=message):
        distributed.set_launcher(Config({}), launcher)


def test_missing_master_address_is_refused(joined):
    start_as("mpi", 0, 1)
    with pytest.raises(ValueError, match="MASTER_ADDR is not set"):
        distributed.set_launcher(Config({}), "mpi")


def exits_with(code):
    raise SystemExit(code)


@pytest.mark.parametrize(("main", "status"), [(lambda: None, 0), (lambda: 3, 3)], ids=["0", "3"])
def test_run_exits_with_the_status(main, status):
    with pytest.raises(SystemExit) as raised:
        distributed.run(main)
    assert raised.value.code == status


@pytest.mark.parametrize("code", [143, "a message"])
def test_run_keeps_an_exit_code(code):
    with pytest.raises(SystemExit) as raised:
        distributed.run(lambda: exits_with(code))
    assert raised.value.code == code


@pytest.mark.parametrize("main", [lambda: 3, lambda: exits_with(3)], ids=["return", "exit"])
def test_run_ends_a_joined_process_immediately(monkeypatch, main):
    ended = []
    monkeypatch.setattr(distributed, "_joined_with_gloo", True)
    monkeypatch.setattr(distributed.os, "_exit", ended.append)
    # The log files of other tests are still in use.
    monkeypatch.setattr(distributed.logging, "shutdown", lambda: ended.append("logs"))
    distributed.run(main)
    assert ended == ["logs", 3]
