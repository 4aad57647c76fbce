"""Processes that fill a folder."""

from __future__ import annotations

import time

from lpv_mmocr.streaming import ChunkProducer
from lpv_mmocr.streaming.chunk import chunk_numbers, chunk_path, read_chunk

import pytest
from streaming_cases import numbered_chunk


def make(number: int):
    return numbered_chunk(number, 2)


def fail(number: int):
    raise OSError("no more pictures")


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
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def test_makes_chunks_until_enough_wait(produce, tmp_path):
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
    # Each process looks before it makes one, so there may be one too many for each.
    assert len(chunk_numbers(folder)) <= 8
    assert not set(there[:3]) & set(chunk_numbers(folder))


def test_goes_on_behind_what_is_there(produce, tmp_path):
    first = produce(max_waiting=2)
    wait_for(lambda: len(chunk_numbers(tmp_path / "pool")) >= 2)
    first.stop()
    there = chunk_numbers(tmp_path / "pool")
    for number in there[:-1]:
        chunk_path(tmp_path / "pool", number).unlink()
    produce(max_waiting=3, workers=1)
    wait_for(lambda: len(chunk_numbers(tmp_path / "pool")) >= 3)
    assert chunk_numbers(tmp_path / "pool") == [there[-1], there[-1] + 1, there[-1] + 2]


def test_process_that_fails_is_reported(produce):
    producer = produce(fail, workers=1)
    wait_for(lambda: producer._processes[0].exitcode is not None)
    with pytest.raises(ChildProcessError, match=r"1 of 1 processes .* ended \(status 1\)"):
        producer.check()


def test_folder_of_other_pictures_is_refused(produce, tmp_path):
    produce(recipe=dict(seed=1)).stop()
    with pytest.raises(FileExistsError, match=r"made with other settings \(seed\): delete it"):
        produce(recipe=dict(seed=2))
    (tmp_path / "pool" / "recipe.json").unlink()
    with pytest.raises(FileExistsError, match=r"holds chunks without recipe\.json"):
        produce(recipe=dict(seed=1))


@pytest.mark.parametrize("name", ["workers", "max_waiting"])
def test_numbers_must_be_positive(produce, name):
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        produce(**{name: 0})
