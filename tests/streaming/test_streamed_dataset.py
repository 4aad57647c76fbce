"""Tests of the streamed dataset and of its batches in the model."""

from __future__ import annotations

import gc
import itertools
import math
import os
import subprocess
import sys
import threading
import time

from lpv_mmocr.models.encoded_words import EncodedWords
from lpv_mmocr.streaming import StreamedWordDataset, sources
from lpv_mmocr.streaming.chunk import chunk_numbers, chunk_path, read_chunk
from lpv_mmocr.streaming.producer import LOCK_FILE

import numpy as np
import pytest
import torch
from lpv_cases import decoder_config
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from streaming_cases import IMAGE, LOSS, PATIENCE, NumberWords
from torch.utils.data import DataLoader


@pytest.fixture
def stream(tmp_path):
    made = []

    def build(batch_size=8, whole=None, **options) -> StreamedWordDataset:
        streamed = dict(
            dataset=dict(type="NumberWords"),
            folder=str(tmp_path / "pool"),
            capacity=64,
            chunk_size=16,
            min_images=16,
            workers=1,
        )
        sources = [{**streamed, **options}]
        if whole:
            sources.append(dict(dataset=dict(type="NumberWords", length=whole), weight=3))
        made.append(
            StreamedWordDataset(batch_size=batch_size, sources=sources, loss=LOSS, device="cpu")
        )
        return made[-1]

    yield build
    for dataset in made:
        dataset.stop()


def test_batch_is_drawn_from_both_sources(stream):
    batch = stream(whole=5)[0]
    images, words = batch["inputs"], batch["data_samples"]
    assert images.shape == (8, 3, *IMAGE)
    assert torch.equal(images[:, 0, 0, 0].long(), words.numbers % 256)
    assert words.targets.shape == (8, 27)
    assert max(words.numbers[2:]) < 5  # six of eight from the small source


def test_old_images_leave_the_pool_and_the_disk(stream, tmp_path):
    dataset = stream()
    dataset[0]
    pool = dataset.sources[0].pool
    end = time.monotonic() + PATIENCE
    while pool.added < 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert len(pool) == 64
    assert min(dataset[1]["data_samples"].numbers) >= 16
    statistics = dataset.statistics()
    assert statistics["pool_images"] == 64
    assert statistics["mean_uses"] == pytest.approx(16 / statistics["pool_added"], rel=0.5)
    dataset.stop()
    assert len(list((tmp_path / "pool").glob("chunk_*.npz"))) <= 4 + 2 + 2
    pooled = dataset.sources[0]._pooled
    assert len(pooled) == 4 and {*pooled} <= {*chunk_numbers(tmp_path / "pool")}


def test_statistics_cover_rendered_sources_only(stream):
    """A source that is completely in its pool repeats its images regardless of rendering."""
    dataset = stream(whole=5)
    for number in range(4):
        dataset[number]
    pool = dataset.sources[0].pool
    statistics = dataset.statistics()
    assert pool.drawn == 8  # a quarter of four batches
    assert statistics["mean_uses"] == pytest.approx(8 / statistics["pool_added"], rel=0.5)
    assert statistics["pool_images"] <= len(pool) <= 64  # it is still growing


def test_stopped_dataset_releases_its_folder_to_another(stream, tmp_path):
    """As in a resumed run, whose seed is known only after its dataset was created."""
    first = stream()
    first.stop()
    second = stream()
    del first
    gc.collect()
    program = (
        "import fcntl, sys\n"
        f"with open({str(tmp_path / 'pool' / LOCK_FILE)!r}, 'w') as file:\n"
        "    try:\n"
        "        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except OSError:\n"
        "        print('taken')\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout == "taken\n"
    second.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_random_numbers_of_pipelines_depend_on_the_chunk_only(stream, tmp_path, workers):
    dataset = stream(workers=workers)
    dataset[0]
    dataset.stop()
    expected = stream(folder=str(tmp_path / "other"))
    drawn = []
    for number in chunk_numbers(tmp_path / "pool")[:3]:
        chunk = read_chunk(tmp_path / "pool", number)
        np.testing.assert_array_equal(chunk.images, expected.sources[0]._make(number).images)
        drawn.append(chunk.images[:, 0, -1, -1].tolist())
    assert all(first != second for first, second in itertools.combinations(drawn, 2))


def test_incomplete_stream_settings_are_refused(stream):
    with pytest.raises(ValueError, match="a source with folder, workers needs a capacity, too"):
        StreamedWordDataset(
            batch_size=4,
            sources=[dict(dataset=dict(type="NumberWords"), folder="pool", workers=1)],
            loss=LOSS,
        )


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr("lpv_mmocr.streaming.dataset.get_world_size", lambda: 2)
    with pytest.raises(ValueError, match="supports one process, but there are 2"):
        StreamedWordDataset(
            batch_size=4, sources=[dict(dataset=dict(type="NumberWords"))], loss=LOSS
        )


def test_folder_of_other_fonts_or_words_is_refused(stream, monkeypatch):
    monkeypatch.setattr(NumberWords, "fingerprint", dict(words="a"), raising=False)
    stream().stop()
    monkeypatch.setattr(NumberWords, "fingerprint", dict(words="b"))
    with pytest.raises(FileExistsError, match=r"made with other settings \(content\)"):
        stream()


def test_folder_of_other_chunk_size_or_loss_is_refused(stream, monkeypatch):
    stream().stop()
    with pytest.raises(FileExistsError, match=r"made with other settings \(chunk_size\)"):
        stream(chunk_size=8)
    monkeypatch.setitem(LOSS, "letter_case", "upper")
    with pytest.raises(FileExistsError, match=r"made with other settings \(loss\)"):
        stream()


def test_next_run_reads_the_chunks_in_the_folder(stream, tmp_path, monkeypatch):
    first = stream()
    first[0]
    first.stop()
    assert not any(thread.name == "feeds the pool" for thread in threading.enumerate())
    left = set(chunk_numbers(tmp_path / "pool"))
    taken = set()

    def read(folder, number):
        taken.add(number)
        return read_chunk(folder, number)

    monkeypatch.setattr(sources, "read_chunk", read)
    stream(capacity=1600)[0]
    end = time.monotonic() + PATIENCE
    while not left <= taken:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_damaged_chunk_is_deleted_and_named_once(stream, tmp_path, monkeypatch):
    first = stream()
    first[0]
    first.stop()
    damaged = chunk_path(tmp_path / "pool", chunk_numbers(tmp_path / "pool")[0])
    os.truncate(damaged, 1000)
    log = []
    monkeypatch.setattr(sources, "print_log", lambda text, **_: log.append(text))
    monkeypatch.setattr(sources, "_REPORT_SECONDS", math.inf)  # of progress, if the start is slow
    dataset = stream()
    batch = dataset[0]
    wait_for(lambda: not damaged.exists() and dataset.sources[0].pool.added >= 64)
    assert torch.equal(batch["inputs"][:, 0, 0, 0].long(), batch["data_samples"].numbers % 256)
    dataset[1]
    (said,) = log
    assert said.startswith(f"Deleted {damaged}, which was damaged (")


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_failing_source_ends_the_training(stream):
    dataset = stream(dataset=dict(type="NumberWords", fail_from=40))
    with pytest.raises(ChildProcessError, match="see the output above"):
        for index in itertools.count():
            dataset[index]
            time.sleep(0.01)


def test_source_that_fails_at_once_prevents_training(stream):
    with pytest.raises(ChildProcessError, match="see the output above"):
        stream(dataset=dict(type="NumberWords", fail_from=0))[0]


def test_disk_that_cannot_be_read_ends_the_training(stream, monkeypatch):
    def fail(folder, number):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sources, "read_chunk", fail)
    with pytest.raises(OSError, match="Input/output error"):
        stream()[0]


def test_invalid_arguments_are_refused(stream):
    for capacity, min_images in ((31, 16), (60, 50)):
        with pytest.raises(ValueError, match=f"capacity={capacity}, .* min_images"):
            stream(capacity=capacity, min_images=min_images)
    for name in ("chunk_size", "min_images"):
        with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
            stream(**{name: 0})
    source = dict(dataset=dict(type="NumberWords"), folder="pool", capacity=64, workers=1)
    twice = [source, dict(source, folder="./pool")]
    with pytest.raises(ValueError, match=r"two sources have the folder .*pool: each would"):
        StreamedWordDataset(batch_size=4, sources=twice, loss=LOSS)
    with pytest.raises(ValueError, match="at least one source"):
        StreamedWordDataset(batch_size=4, sources=[], loss=LOSS)
    with pytest.raises(ValueError, match="a source would get no sample"):
        stream(batch_size=1, whole=5)


def test_data_loader_workers_are_refused(stream):
    loader = DataLoader(stream(), batch_size=1, num_workers=1)
    with pytest.raises(RuntimeError, match="needs a data loader with num_workers=0"):
        next(iter(loader))


class TestWayThroughTheModel:
    @pytest.fixture
    def words(self) -> tuple[list[str], EncodedWords]:
        texts = ["abc", "7", ""]
        targets = [s.gt_text.padded_indexes for s in MODELS.build(LOSS).get_targets(samples(texts))]
        return texts, EncodedWords(torch.stack(targets), torch.arange(3))

    def test_loss_is_that_of_data_samples(self, words):
        texts, encoded = words
        decoder = MODELS.build(decoder_config(16)).eval()
        features = torch.randn(3, 16, 2, 5)
        expected = decoder.loss(None, features, samples(texts))
        actual = decoder.loss(None, features, encoded)
        assert actual.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(actual[name], value)

    def test_words_have_sample_keys(self, words):
        assert [word["sample_key"] for word in words[1]] == ["image 0", "image 1", "image 2"]


def samples(texts: list[str]) -> list[TextRecogDataSample]:
    made = []
    for text in texts:
        sample = TextRecogDataSample()
        sample.gt_text = LabelData(item=text)
        made.append(sample)
    return made
