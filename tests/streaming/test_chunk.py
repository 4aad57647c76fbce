"""Tests of chunk files."""

from __future__ import annotations

import errno
import os

from lpv_mmocr.streaming.chunk import (
    DamagedChunkError,
    chunk_numbers,
    chunk_path,
    make_chunk,
    read_chunk,
    write_chunk,
)

import numpy as np
import pytest
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from streaming_cases import LOSS, NumberWords, numbered_chunk


@pytest.fixture
def loss():
    return MODELS.build(LOSS)


def test_targets_are_those_of_the_loss(loss):
    words = NumberWords()
    chunk = make_chunk(((n, words[n]) for n in (7, 1234)), loss)
    sample = TextRecogDataSample()
    sample.gt_text = LabelData(item="1234")
    expected = loss.get_targets([sample])[0].gt_text.padded_indexes
    assert chunk.targets[1].tolist() == expected.tolist()
    assert chunk.images.shape == (2, 3, 8, 20) and chunk.images.dtype == np.uint8
    assert chunk.images[:, :, 0, 0].tolist() == [[7] * 3, [1234 % 256] * 3]
    assert chunk.numbers.tolist() == [7, 1234]


def test_images_of_two_sizes_are_refused(loss):
    words = [NumberWords()[n] for n in (0, 1)]
    words[1]["img"] = words[1]["img"][:4]
    with pytest.raises(ValueError, match=r"end the pipeline with a Resize"):
        make_chunk(enumerate(words), loss)


def test_empty_dataset_is_refused(loss):
    with pytest.raises(ValueError, match="the dataset is empty"):
        make_chunk([], loss)


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_damaged_file_is_named(tmp_path, size):
    write_chunk(tmp_path, 3, numbered_chunk(5, 3))
    os.truncate(chunk_path(tmp_path, 3), size)
    with pytest.raises(ValueError, match=r"chunk_00000003\.npz is damaged.*delete it"):
        read_chunk(tmp_path, 3)


def test_invalid_header_is_reported_as_damage(tmp_path):
    write_chunk(tmp_path, 3, numbered_chunk(5, 3))
    path = chunk_path(tmp_path, 3)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 77  # the compression of the first entry
    path.write_bytes(content)
    with pytest.raises(DamagedChunkError, match=r"chunk_00000003\.npz is damaged"):
        read_chunk(tmp_path, 3)


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "x"), RuntimeError("is encrypted")])
def test_other_read_errors_are_reported_as_damage(tmp_path, monkeypatch, error):
    monkeypatch.setattr(np, "load", lambda path: raise_it(error))
    with pytest.raises(DamagedChunkError, match=r"chunk_00000003\.npz is damaged"):
        read_chunk(tmp_path, 3)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT])
def test_system_errors_are_not_reported_as_damage(tmp_path, monkeypatch, number):
    monkeypatch.setattr(np, "load", lambda path: raise_it(OSError(number, "x")))
    with pytest.raises(OSError, match="x"):
        read_chunk(tmp_path, 3)


def raise_it(error):
    raise error


def test_full_disk_leaves_no_partial_file(tmp_path, monkeypatch):
    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        write_chunk(tmp_path, 3, numbered_chunk(5, 3))
    assert not list(tmp_path.iterdir())


def test_written_chunks_are_listed_and_read_back(tmp_path):
    chunk = numbered_chunk(5, 3)
    for number in (11, 2):
        write_chunk(tmp_path, number, chunk)
    (tmp_path / "chunk_00000003.partial").write_bytes(b"half")
    assert chunk_numbers(tmp_path) == [2, 11]
    for written, read in zip(chunk, read_chunk(tmp_path, 11), strict=True):
        np.testing.assert_array_equal(written, read)
        assert written.dtype == read.dtype
