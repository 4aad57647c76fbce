"""Tests of the processes that fill a folder with chunks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lpv_mmocr.rendering.processes import worker_context
from lpv_mmocr.streaming import ChunkProducer
from lpv_mmocr.streaming.chunk import Chunk, chunk_numbers, chunk_path, read_chunk

import numpy as np
import pytest
from streaming_cases import PATIENCE, numbered_chunk


def make(number: int):
    return numbered_chunk(number, 2)


def fail(number: int):
    raise OSError("no more images")


@pytest.fixture
def produce(tmp_path):
    producers = []

    def start(make=make, recipe=None, workers=2, max_waiting=6, **options) -> ChunkProducer:
        producers.append(
            ChunkProducer(
                tmp_path / "pool",
                make,
                recipe=recipe or {},
                workers=workers,
                max_waiting=max_waiting,
                **options,
            )
        )
        producers[-1].start()
        return producers[-1]

    yield start
    for producer in producers:
        producer.stop()


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def test_chunks_are_made_until_enough_are_waiting(produce, tmp_path):
    folder = tmp_path / "pool"
    producer = produce()
    wait_for(lambda: len(chunk_numbers(folder)) >= 6)
    there = chunk_numbers(folder)
    for number in there[:3]:
        assert read_chunk(folder, number).numbers.tolist() == [number, number + 1]
        chunk_path(folder, number).unlink()
    wait_for(lambda: len(chunk_numbers(folder)) >= 6)
    producer.check()
    producer.stop()
    # Each process checks before it makes a chunk, so each may make one too many.
    assert len(chunk_numbers(folder)) <= 8
    assert not set(there[:3]) & set(chunk_numbers(folder))


def test_no_chunk_is_made_twice(produce, tmp_path):
    def noted(number: int):
        with (tmp_path / "made").open("a") as file:
            file.write(f"{number}\n")
        return make(number)

    producer = produce(noted)
    wait_for(lambda: len(chunk_numbers(tmp_path / "pool")) >= 6)
    producer.stop()
    made = (tmp_path / "made").read_text().split()
    assert len(made) == len(set(made))


def test_processes_end_with_their_parent(produce):
    """However the parent ends; here it has never existed."""
    producer = produce(workers=1)
    orphan = worker_context().Process(target=producer._run, args=(0, -1), daemon=True)
    orphan.start()
    try:
        orphan.join(PATIENCE)
        assert orphan.exitcode == 0
    finally:
        orphan.kill()


def showing(number: int, value: int) -> Chunk:
    chunk = numbered_chunk(number, 2)
    return Chunk(np.full_like(chunk.images, value), chunk.targets, chunk.numbers)


def show_policy(number: int) -> Chunk:
    return showing(number, os.sched_getscheduler(0))


def show_niceness(number: int) -> Chunk:
    return showing(number, os.getpriority(os.PRIO_PROCESS, 0))


def first_value(folder: Path) -> int:
    """Return what the first chunk shows."""
    wait_for(lambda: chunk_numbers(folder))
    return int(read_chunk(folder, 0).images[0, 0, 0, 0])


def policy_is_to_be_had() -> bool:
    """Return whether the policy can be set; tried in another process, since it is irreversible."""
    program = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


@pytest.mark.skipif(not policy_is_to_be_had(), reason="the policy is Linux's, and may be refused")
def test_chunks_are_made_at_idle_priority(produce, tmp_path):
    before = os.sched_getscheduler(0)
    produce(show_policy, workers=1, max_waiting=1)
    assert first_value(tmp_path / "pool") == os.SCHED_IDLE
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("refusal", [PermissionError("seccomp"), OSError(22, "gVisor"), None])
def test_chunks_are_made_at_nice_19_without_the_idle_policy(
    produce, tmp_path, monkeypatch, refusal
):
    def refuse(*_):
        raise refusal

    if refusal is None:
        monkeypatch.delattr(os, "SCHED_IDLE", raising=False)
    else:
        monkeypatch.setattr(os, "sched_setscheduler", refuse, raising=False)
    produce(show_niceness, workers=1, max_waiting=1)
    assert first_value(tmp_path / "pool") == 19


def test_numbering_continues_after_existing_chunks(produce, tmp_path):
    first = produce(max_waiting=2)
    wait_for(lambda: len(chunk_numbers(tmp_path / "pool")) >= 2)
    first.stop()
    there = chunk_numbers(tmp_path / "pool")
    for number in there[:-1]:
        chunk_path(tmp_path / "pool", number).unlink()
    produce(max_waiting=3, workers=1)
    wait_for(lambda: len(chunk_numbers(tmp_path / "pool")) >= 3)
    assert chunk_numbers(tmp_path / "pool") == [there[-1], there[-1] + 1, there[-1] + 2]


def test_failed_chunk_is_left_out(produce, tmp_path, capfd):
    """Only if the next one succeeds."""

    def fail_at_odd_ones(number: int):
        return fail(number) if number % 2 else make(number)

    producer = produce(fail_at_odd_ones, workers=1, max_waiting=3)
    wait_for(lambda: chunk_numbers(tmp_path / "pool") == [0, 2, 4])
    producer.check()
    said = capfd.readouterr().err
    assert "OSError: no more images\n" in said
    assert f"chunk 1 of {tmp_path / 'pool'} is left out (see above)" in said


def test_process_that_fails_is_reported(produce):
    producer = produce(fail, workers=1)
    wait_for(lambda: producer._processes[0].exitcode is not None)
    with pytest.raises(ChildProcessError, match=r"1 of 1 processes .* ended \(status 1\)"):
        producer.check()


def test_folder_of_another_recipe_is_refused(produce, tmp_path):
    producer = produce(recipe=dict(seed=1))
    wait_for(lambda: chunk_numbers(tmp_path / "pool"))  # else it may stop before the first chunk
    producer.stop()
    for other in (dict(seed=2), {}):
        with pytest.raises(FileExistsError, match=r"made with other settings \(seed\): delete it"):
            produce(recipe=other)
    (tmp_path / "pool" / "recipe.json").unlink()
    with pytest.raises(FileExistsError, match=r"holds chunks without recipe\.json"):
        produce(recipe=dict(seed=1))


@pytest.mark.parametrize("content", [b"", b'{"seed": ', b"[1]", b"\xff\xfe"])
def test_damaged_recipe_is_named(produce, tmp_path, content):
    produce(recipe=dict(seed=1)).stop()
    (tmp_path / "pool" / "recipe.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"recipe\.json is damaged.*delete the folder .*pool to"):
        produce(recipe=dict(seed=1))


def test_processes_ignore_signals_sent_to_all(produce, tmp_path):
    """A terminal or scheduler signals the workers too, but training has to finish its iteration."""
    folder = tmp_path / "pool"
    producer = produce(workers=1, max_waiting=1)
    wait_for(lambda: chunk_numbers(folder))
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(producer._processes[0].pid, number)
    chunk_path(folder, 0).unlink()
    wait_for(lambda: chunk_numbers(folder))
    producer.check()


def test_process_that_hangs_is_killed(produce, tmp_path):
    def hang(number: int):
        (tmp_path / "begun").touch()
        while True:
            time.sleep(1)

    producer = produce(hang, workers=1)
    producer.seconds_to_end = 0.1
    (process,) = producer._processes
    wait_for((tmp_path / "begun").exists)
    producer.stop()
    assert process.exitcode == -signal.SIGKILL


def test_partial_files_of_earlier_processes_are_deleted(produce, tmp_path):
    (tmp_path / "pool").mkdir()
    half = tmp_path / "pool" / "chunk_00000007.123.partial"
    half.write_bytes(b"half")
    produce()
    assert not half.exists()


def test_folder_in_use_is_refused(produce, tmp_path):
    (tmp_path / "pool").mkdir()
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; file = open(sys.argv[1], 'w'); "
            "fcntl.lockf(file, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()",
            tmp_path / "pool" / "lock",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(FileExistsError, match=r"another training run fills .*pool"):
            produce()
        other.stdin.close()
    produce()


@pytest.mark.parametrize("name", ["workers", "max_waiting"])
def test_numbers_must_be_positive(produce, name):
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        produce(**{name: 0})
