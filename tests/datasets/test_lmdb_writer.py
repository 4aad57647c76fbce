from __future__ import annotations

import os
import signal
import stat

from lpv_mmocr.datasets import LMDBWriter, LPVLMDBDataset, lmdb_writer
from lpv_mmocr.datasets.lmdb_environment import KeyReader

import lmdb
import numpy as np
import pytest
from lmdb_cases import make_image


def keys(path) -> list[bytes]:
    environment = lmdb.open(str(path), readonly=True, lock=False)
    with environment.begin() as transaction:
        found = list(transaction.cursor().iternext(values=False))
    environment.close()
    return found


@pytest.fixture
def small_transactions(monkeypatch):
    monkeypatch.setattr(lmdb_writer, "_SAMPLES_IN_A_TRANSACTION", 2)


def test_round_trip(tmp_path, small_transactions):
    path = tmp_path / "made" / "words"
    with LMDBWriter(path) as writer:
        assert [writer.write(make_image(10 * i), f"Wörd {i}") for i in range(5)] == [
            1, 2, 3, 4, 5,
        ]  # fmt: skip
    dataset = LPVLMDBDataset(ann_file=str(path), test_mode=True)
    assert [dataset[i]["instances"][0]["text"] for i in range(5)] == [f"Wörd {i}" for i in range(5)]
    assert [dataset[i]["img"][0, -1, 0] for i in range(5)] == [0, 10, 20, 30, 40]


def test_writer_can_be_used_again_after_an_error(tmp_path, small_transactions):
    writer = LMDBWriter(tmp_path / "words")
    with pytest.raises(KeyboardInterrupt), writer:
        for _ in range(3):  # one of them is not in a transaction yet
            writer.write(b"lost", "lost")
        raise KeyboardInterrupt
    with writer:
        assert writer.write(b"x", "x") == 1
    assert keys(tmp_path / "words") == [b"image-000000001", b"label-000000001", b"num-samples"]


def test_keys_follow_the_common_lmdb_format(tmp_path):
    with LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"x", "x")
    assert keys(tmp_path / "words") == [b"image-000000001", b"label-000000001", b"num-samples"]


def test_folder_has_only_the_data_file_and_the_default_mode(tmp_path):
    with LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"x", "x")
    assert os.listdir(tmp_path / "words") == ["data.mdb"]
    assert os.listdir(tmp_path) == ["words"]
    (tmp_path / "other").mkdir()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("words", "other")]
    assert modes[0] == modes[1]


def test_map_grows(tmp_path, monkeypatch, small_transactions):
    monkeypatch.setattr(lmdb_writer, "_FIRST_MAP_SIZE", 2**16)
    generator = np.random.default_rng(0)
    images = [generator.bytes(size) for size in generator.integers(1, 20_000, 300)]
    with LMDBWriter(tmp_path / "words") as writer:
        for number, image in enumerate(images):
            writer.write(image, str(number))
    dataset = LPVLMDBDataset(ann_file=str(tmp_path / "words"), test_mode=True)
    assert [dataset.get_data_info(i)["img_bytes"] for i in range(300)] == images


def test_existing_folder_is_refused(tmp_path):
    (tmp_path / "words").mkdir()
    with pytest.raises(FileExistsError, match="words exists; choose another name"):
        LMDBWriter(tmp_path / "words")


def test_folder_that_appears_meanwhile_is_refused(tmp_path):
    writer = LMDBWriter(tmp_path / "words")
    with pytest.raises(FileExistsError, match="words exists; choose another name"), writer:
        writer.write(b"x", "x")
        (tmp_path / "words").mkdir()
    assert os.listdir(tmp_path) == ["words"]


def test_dataset_without_words_is_refused(tmp_path):
    nothing = pytest.raises(ValueError, match="words was not made: nothing was written into it")
    with nothing, LMDBWriter(tmp_path / "words"):
        pass
    assert os.listdir(tmp_path) == []


def test_error_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"x", "x")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_killed_writer_leaves_only_a_partial_folder(tmp_path, small_transactions):
    child = os.fork()
    if child == 0:
        with LMDBWriter(tmp_path / "words") as writer:
            writer.write(b"x", "x")
            writer.write(b"y", "y")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["words.partial"]
    with (
        pytest.raises(FileExistsError, match=r"words\.partial exists: .* delete it to start again"),
        LMDBWriter(tmp_path / "words"),
    ):
        pass
    assert os.listdir(tmp_path) == ["words.partial"], "it may be another process that writes there"


def test_additional_files_move_with_the_data(tmp_path):
    with LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"x", "x")
        (writer.folder / "note.txt").write_text("from here")
    assert sorted(os.listdir(tmp_path / "words")) == ["data.mdb", "note.txt"]


def test_failure_at_the_end_leaves_nothing(tmp_path, monkeypatch):
    def fail(self):
        raise OSError("disk full")

    monkeypatch.setattr(LMDBWriter, "_flush", fail)
    with pytest.raises(OSError, match="disk full"), LMDBWriter(tmp_path / "words") as writer:
        writer.write(b"x", "x")
    assert os.listdir(tmp_path) == []


def test_full_disk_leaves_nothing(tmp_path, small_disk, small_transactions):
    with (
        pytest.raises(OSError, match="words cannot be written: "),
        LMDBWriter(tmp_path / "words") as writer,
    ):
        for _ in range(10):
            writer.write(bytes(10**5), "word")
    assert os.listdir(tmp_path) == []


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(RuntimeError, match="inside its 'with' block"):
        LMDBWriter(tmp_path / "words").write(b"x", "x")
    with (
        pytest.raises(ValueError, match=r"image 1 of .*words \(label 'x'\) is empty"),
        LMDBWriter(tmp_path / "words") as writer,
    ):
        writer.write(b"", "x")


def test_label_that_cannot_be_stored_leaves_no_image(tmp_path):
    with LMDBWriter(str(tmp_path / "words")) as writer:
        writer.write(b"first", "one")
        with pytest.raises(UnicodeEncodeError):
            writer.write(b"second", "\ud800")
    with KeyReader(str(tmp_path / "words")) as reader:
        assert reader.get(b"image-000000002") is None
