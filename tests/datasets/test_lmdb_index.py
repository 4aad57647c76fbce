from __future__ import annotations

import multiprocessing
import os
import pickle
import time

from lpv_mmocr.datasets import lmdb_index
from lpv_mmocr.datasets.label_filter import LabelFilter
from lpv_mmocr.datasets.lmdb_index import SampleIndex, build_index, load_index

import numpy as np
import pytest
from lmdb_cases import edit, make_image, write_words, zero_page

LABELS = ["short", "x" * 30, "", "Also short", "y" * 26, "z" * 25]
PASSING = [1, 3, 4, 6]


@pytest.fixture
def words(tmp_path):
    return write_words(tmp_path / "words", LABELS)


@pytest.fixture
def builds(monkeypatch):
    """Return the list of paths whose index was actually built."""
    built = []

    def record(path, label_filter):
        built.append(path)
        return build_index(path, label_filter)

    monkeypatch.setattr(lmdb_index, "build_index", record)
    return built


def index_files(folder):
    return sorted(file.name for file in folder.glob("*") if file.name != "data.mdb")


def test_index_lists_the_numbers_of_passing_samples(words):
    index = load_index(str(words), LabelFilter())
    assert list(index) == PASSING
    assert np.asarray(index).tolist() == PASSING


def test_index_agrees_with_filtering_each_label(tmp_path):
    generator = np.random.default_rng(0)
    labels = ["".join(generator.choice(list("aB9-é "), n)) for n in generator.integers(0, 12, 500)]
    path = write_words(tmp_path / "random", labels)
    label_filter = LabelFilter(max_length=8, reject_unknown=True, remove_whitespace=True)
    expected = [n for n, label in enumerate(labels, 1) if label_filter(label) is not None]
    assert 0 < len(expected) < len(labels)
    assert list(load_index(str(path), label_filter)) == expected


def test_labels_that_lose_all_characters_are_logged(tmp_path, log_lines):
    path = write_words(tmp_path / "words", ["Привет", "мир", "café", "…", "abc"])
    load_index(str(path), LabelFilter())
    passing, emptied = log_lines
    assert "5 of 5 samples pass" in passing
    assert emptied.startswith("2 of them lose all their characters")
    log_lines.clear()
    load_index(str(path), LabelFilter(charset=None))
    assert len(log_lines) == 1


def test_reasons_for_leaving_samples_out_are_logged(tmp_path, log_lines):
    labels = ["ab", "a" * 5, "«№»ab", "№ a", "é" * 6, "b"]
    path = write_words(tmp_path / "words", labels)
    label_filter = LabelFilter(max_length=4, charset="ab", reject_unknown=True)
    assert build_index(str(path), label_filter).tolist() == [1, 6]
    (line,) = [line for line in log_lines if line.startswith("Index of ")]
    assert "2 of 6 samples pass the label filter" in line
    assert line.endswith(
        "; of those left out, 3 have more than 4 characters, 1 have characters outside the "
        "charset, most often № ␣"
    )


def test_images_below_the_minimum_side_are_excluded(tmp_path):
    images = [make_image(height=9), make_image(height=7), b"no image"]
    path = write_words(tmp_path / "words", ["a", "b", "c"], images)
    # The last one cannot be measured here; it is reported and replaced when it is read.
    assert list(load_index(str(path), LabelFilter(min_image_side=8))) == [1, 3]


def test_samples_with_unreadable_labels_stay(words):
    edit(words, {b"label-000000002": None, b"label-000000006": None, b"label-000000005": b"\xff"})
    edit(words, {b"label-7": b"a key of another form"})
    assert list(load_index(str(words), LabelFilter())) == [1, 2, 3, 4, 5, 6]


def test_samples_on_a_damaged_page_stay(tmp_path):
    path = write_words(tmp_path / "words", ["x" * 30, *["word"] * 500, "y" * 30])
    zero_page(path, b"label-000000250")
    assert list(load_index(str(path), LabelFilter())) == list(range(2, 502))
    other = zero_page(write_words(tmp_path / "other", ["word"] * 500), b"image-000000250")
    assert len(load_index(str(other), LabelFilter(min_image_side=9))) < 500
    assert 250 in list(load_index(str(other), LabelFilter(min_image_side=9)))


def test_all_samples_stay_without_any_label(words):
    edit(words, {b"label-%09d" % number: None for number in range(1, 7)})
    assert list(load_index(str(words), LabelFilter())) == [1, 2, 3, 4, 5, 6]


def test_index_is_built_once_and_cached_next_to_the_data(words, builds):
    load_index(str(words), LabelFilter())
    (name,) = index_files(words)
    assert name.startswith("lpv-index-") and name.endswith(".npy")
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert len(builds) == 1


def test_each_filter_has_its_own_index(words, builds):
    load_index(str(words), LabelFilter())
    assert list(load_index(str(words), LabelFilter(max_length=5))) == [1, 3]
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert len(builds) == len(index_files(words)) == 2


def test_index_is_rebuilt_when_the_data_change(words, builds):
    load_index(str(words), LabelFilter())
    edit(words, {b"label-000000001": b"w" * 26})
    assert list(load_index(str(words), LabelFilter())) == PASSING[1:]
    assert len(builds) == 2
    assert len(index_files(words)) == 1, "the outdated index should be gone"


def test_index_is_rebuilt_when_data_of_the_same_size_are_newer(words, builds):
    load_index(str(words), LabelFilter())
    data = words / "data.mdb"
    os.utime(data, ns=(data.stat().st_atime_ns, data.stat().st_mtime_ns + 1000))
    load_index(str(words), LabelFilter())
    assert len(builds) == 2


def test_damaged_index_is_rebuilt(words, builds):
    load_index(str(words), LabelFilter())
    (file,) = words.glob("*.npy")
    file.write_bytes(file.read_bytes()[:20])
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert len(builds) == 2


def test_index_may_be_empty(words):
    index = load_index(str(words), LabelFilter(charset="q", reject_unknown=True, max_length=4))
    assert list(index) == [3]
    edit(words, {b"label-000000003": b"p"})
    label_filter = LabelFilter(charset="q", reject_unknown=True, max_length=4)
    assert len(load_index(str(words), label_filter)) == 0
    assert len(load_index(str(words), label_filter)) == 0


def refuse_locks_in(monkeypatch, *folders):
    exclusive = lmdb_index._exclusive

    def refuse(file):
        if file.parent in folders or not folders:
            raise PermissionError(f"{file.parent} is read-only")
        return exclusive(file)

    monkeypatch.setattr(lmdb_index, "_exclusive", refuse)


def test_index_of_a_read_only_folder_goes_to_the_cache(words, tmp_path, monkeypatch, builds):
    refuse_locks_in(monkeypatch, words)
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert index_files(words) == []
    assert len(list((tmp_path / "cache" / "lpv_mmocr").glob("words-*/*.npy"))) == 1
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert len(builds) == 1


def test_lpv_cache_sets_the_cache_folder(words, tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "elsewhere"))
    refuse_locks_in(monkeypatch, words)
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert len(list((tmp_path / "elsewhere").glob("words-*/*.npy"))) == 1


def test_read_only_mode_of_a_folder_is_respected(words, tmp_path):
    words.chmod(0o555)  # respected even for the superuser
    assert list(load_index(str(words), LabelFilter())) == PASSING
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1


def test_index_works_without_a_writable_folder(words, monkeypatch, log_lines):
    refuse_locks_in(monkeypatch)
    index = load_index(str(words), LabelFilter())
    assert list(index) == PASSING
    assert list(pickle.loads(pickle.dumps(index))) == PASSING
    assert any("cannot be cached" in line and "XDG_CACHE_HOME" in line for line in log_lines)


def test_interrupted_write_leaves_nothing(words, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_index(str(words), LabelFilter())
    assert index_files(words) == []


def _load_and_record(path, started):
    def slow_build(path, label_filter):
        with open(f"{path}-builds", "a") as handle:
            handle.write("x")
        time.sleep(0.3)  # long enough for the other process to arrive
        return build_index(path, label_filter)

    lmdb_index.build_index = slow_build
    started.wait()
    os._exit(0 if list(load_index(path, LabelFilter())) == PASSING else 1)


def test_concurrent_processes_build_the_index_once(words):
    context = multiprocessing.get_context("fork")
    started = context.Barrier(3)
    processes = [
        context.Process(target=_load_and_record, args=(str(words), started)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (words.parent / "words-builds").read_text() == "x"
    assert len(index_files(words)) == 1, "no lock file should stay"


def test_index_is_memory_mapped_and_pickles_as_its_path(words):
    index = load_index(str(words), LabelFilter())
    assert index[0] == 1
    assert isinstance(index._all.base, np.memmap)
    assert len(pickle.dumps(index)) < 1000
    assert list(pickle.loads(pickle.dumps(index))) == PASSING


def test_between_returns_part_of_an_index():
    index = SampleIndex(np.array([2, 3, 5, 8, 13], np.int32))
    part = index.between(3, 13)
    assert list(part) == [3, 5, 8]
    assert list(part.between(4, 6)) == [5]
    assert list(index.between(14, 20)) == []
    with pytest.raises(IndexError, match="position 3 is outside an index of 3"):
        part[3]
    with pytest.raises(IndexError, match="position -1 is outside"):
        part[-1]


def test_index_that_is_deleted_stays_readable_where_it_is_open(words):
    part = load_index(str(words), LabelFilter()).between(2, 7)
    stored = pickle.dumps(part)
    for file in words.glob("lpv-index-*.npy"):
        file.unlink()
    assert list(part) == PASSING[1:]
    with pytest.raises(FileNotFoundError, match="was deleted while a dataset uses it"):
        list(pickle.loads(stored))


def test_index_of_a_relative_path_survives_a_change_of_folder(words, tmp_path, monkeypatch):
    monkeypatch.chdir(words.parent)
    stored = pickle.dumps(load_index(words.name, LabelFilter()))
    monkeypatch.chdir(tmp_path.parent)
    assert list(pickle.loads(stored)) == PASSING
