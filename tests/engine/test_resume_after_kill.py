"""Tests that killed or stopped runs, once resumed, end like uninterrupted ones."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from lpv_mmocr.engine import load_checkpoint

import kill_cases
import pytest
import torch
from forked_programs import Program
from kill_cases import MAX_ITERS

KILLS = 3


def start(numbers: Path, work_dir: Path, record: Path, workers: int, processes: int = 1) -> Program:
    log = work_dir.with_suffix(".log")
    arguments = numbers, work_dir, record, workers
    return Program(kill_cases.train, *arguments, log=log, processes=processes)


def lines(record: Path) -> list[str]:
    return record.read_text().splitlines() if record.exists() else []


def wait_for_progress(program: Program, record: Path, count: int) -> None:
    """Wait until ``count`` more iterations are recorded or the run ends."""
    wanted = len(lines(record)) + count
    deadline = time.monotonic() + 200
    while len(lines(record)) < wanted and program.running():
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.02)


def assert_whole(work_dir: Path) -> None:
    """Assert that every file with a final name can be read completely."""
    for path in work_dir.glob("*.pth"):
        assert load_checkpoint(path)["state_dict"], path
    pointer = work_dir / "last_checkpoint"
    if pointer.exists():
        assert Path(pointer.read_text()).is_file()


@pytest.mark.slow
def test_killed_and_resumed_run_ends_like_the_uninterrupted_one(numbers, tmp_path):
    """The killed run has two worker processes, the uninterrupted one has none."""
    whole, record = tmp_path / "whole", tmp_path / "whole.txt"
    start(numbers, whole, record, workers=0).finish()
    seen = lines(record)
    assert [int(line.split()[0]) for line in seen] == list(range(MAX_ITERS))
    killed, record = tmp_path / "killed", tmp_path / "killed.txt"
    moments = random.Random(2)
    kills = 0
    while True:
        program = start(numbers, killed, record, workers=2)
        if kills == KILLS:
            break
        wait_for_progress(program, record, moments.randint(2, 8))
        time.sleep(moments.uniform(0, 0.1))  # anywhere within an iteration or a checkpoint
        if program.running():
            program.send(signal.SIGKILL)
            kills += 1
        codes = program.wait(timeout=60)
        assert_whole(killed)
        if codes == [0]:
            pytest.fail("the run ended before it could be killed")
    program.finish()
    assert_whole(killed)

    # Iterations after the last checkpoint are repeated exactly; nothing else is read.
    again = lines(record)
    assert set(again) == set(seen)
    assert list(dict.fromkeys(again)) == seen
    assert len(again) <= len(seen) + KILLS * 3  # a checkpoint every two iterations
    assert not list(killed.glob("*.partial"))
    assert {p.name for p in killed.glob("*.pth")} == {p.name for p in whole.glob("*.pth")}
    first, second = (load_checkpoint(path / f"iter_{MAX_ITERS}.pth") for path in (whole, killed))
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
    for number, state in first["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, second["optimizer"]["state"][number][name])
    steps = [c["param_schedulers"][0]["_global_step"] for c in (first, second)]
    assert steps == [MAX_ITERS, MAX_ITERS]
    best = [c["message_hub"]["runtime_info"]["best_score"] for c in (first, second)]
    assert best[0] == best[1]


@pytest.mark.slow
def test_two_processes_stop_together_and_resume(numbers, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(numbers, whole, tmp_path / "whole.txt", 0, processes=2).finish()

    record = tmp_path / "killed.txt"
    program = start(numbers, killed, record, 0, processes=2)
    wait_for_progress(program, tmp_path / "killed.txt0", 3)
    program.send(signal.SIGTERM)
    program.wait(timeout=60)
    stopped_at = len(lines(tmp_path / "killed.txt0"))
    assert stopped_at == len(lines(tmp_path / "killed.txt1"))
    assert stopped_at % 10 == 0  # where the processes agree
    assert stopped_at < MAX_ITERS, "the run ended before it could be stopped"
    assert f"iter_{stopped_at}.pth" in (killed / "last_checkpoint").read_text()
    start(numbers, killed, record, 0, processes=2).finish()

    for rank in "01":
        assert lines(tmp_path / f"killed.txt{rank}") == lines(tmp_path / f"whole.txt{rank}")
    assert lines(tmp_path / "whole.txt0") != lines(tmp_path / "whole.txt1")
    first, second = (load_checkpoint(path / f"iter_{MAX_ITERS}.pth") for path in (whole, killed))
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
