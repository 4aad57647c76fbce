from __future__ import annotations

import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from lpv_mmocr.datasets import LMDBWriter
from lpv_mmocr.datasets.lmdb_environment import (
    KeyReader,
    LMDBDataError,
    close_environments,
    count_samples,
    environment,
)
from lpv_mmocr.datasets.lmdb_folders import find_lmdbs, refuse_repeated

import lmdb
import pytest
from lmdb_cases import edit, write_words, zero_page


def label(path, number: int = 1) -> bytes:
    with environment(str(path)).begin() as transaction:
        return transaction.get(b"label-%09d" % number)


def test_all_paths_of_a_file_share_one_environment(tmp_path):
    path = write_words(tmp_path / "words", ["one"])
    (tmp_path / "link").symlink_to(path)
    first = environment(str(path))
    assert environment(str(path)) is first
    assert environment(str(tmp_path / "link")) is first
    assert environment(f"{tmp_path}/cache/../words") is first


def test_relative_path_follows_the_current_folder(tmp_path, monkeypatch):
    for folder in ("here", "there"):
        write_words(tmp_path / folder / "words", [folder])
        monkeypatch.chdir(tmp_path / folder)
        assert label("words") == folder.encode()


def test_lmdb_that_was_written_again_is_reopened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["old"], ["new", "words"]):
        shutil.rmtree("words", ignore_errors=True)
        with LMDBWriter("words") as writer:
            for word in words:
                writer.write(b"image", word)
        assert label("words") == words[0].encode()
        assert count_samples("words") == len(words)
        assert label("words") == words[0].encode()


def test_reading_writes_nothing_next_to_the_data(tmp_path):
    path = write_words(tmp_path / "words", ["one"])
    assert label(path) == b"one"
    assert os.listdir(path) == ["data.mdb"]


def test_reopens_after_close(tmp_path):
    path = write_words(tmp_path / "words", ["one"])
    first = environment(str(path))
    close_environments()
    assert label(path) == b"one"
    assert environment(str(path)) is not first


def test_forked_process_opens_its_own_environment(tmp_path):
    path = write_words(tmp_path / "words", ["one"])
    parents = environment(str(path))
    child = os.fork()
    if child == 0:  # the exit status tells which step failed
        status = 1
        try:
            status = 2 if environment(str(path)) is parents else 3
            status = 0 if status == 3 and label(path) == b"one" else status
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert environment(str(path)) is parents
    assert label(path) == b"one"


def test_threads_of_a_forked_process_share_one_environment(tmp_path):
    path = write_words(tmp_path / "words", ["one"])
    label(path)
    begin = threading.Barrier(8)

    def read(_):
        begin.wait()
        return label(path)

    for _ in range(5):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                sys.setswitchinterval(1e-6)
                with ThreadPoolExecutor(8) as threads:
                    status = int([*threads.map(read, range(8))] != [b"one"] * 8)
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_folder_without_data_mdb_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no file data\.mdb"):
        environment(str(tmp_path))


def test_file_that_is_not_an_lmdb_raises(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"no database" * 2000)
    with pytest.raises(LMDBDataError, match=r"data\.mdb is not an LMDB file"):
        environment(str(tmp_path))


@pytest.mark.parametrize("kept", [0, 100, 4096, 5000, 8192, 40_000, -4096, -1])
def test_truncated_file_raises(tmp_path, kept):
    path = write_words(tmp_path / "words", ["word"] * 1000)
    data = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(data[:kept])
    with pytest.raises(LMDBDataError, match="cut short"):
        environment(str(path))


def test_file_opened_by_other_code_raises(tmp_path):
    path = write_words(tmp_path / "words", ["one"])
    other = lmdb.open(str(path), readonly=True, lock=False)
    try:
        lmdb.open(str(path), readonly=True, lock=False).close()
    except lmdb.Error:
        pass
    else:
        pytest.skip("this version of py-lmdb lets a file be opened twice")
    with pytest.raises(LMDBDataError, match="other code in this process has it open"):
        environment(str(path))
    other.close()
    assert label(path) == b"one"


def test_count_samples_reads_num_samples(tmp_path):
    assert count_samples(str(write_words(tmp_path / "words", ["a", "b"]))) == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "has no key 'num-samples'"),
        (b"many", "must be a positive number, but is b'many'"),
        (b"-3", "must be a positive number"),
        (b"0", "must be a positive number"),
    ],
)
def test_bad_num_samples_raises(tmp_path, value, message):
    path = edit(write_words(tmp_path / "words", ["a"]), {b"num-samples": value})
    with pytest.raises(LMDBDataError, match=message):
        count_samples(str(path))


def test_damaged_page_raises_and_others_stay_readable(tmp_path):
    path = zero_page(write_words(tmp_path / "words", ["word"] * 500), b"label-000000300")
    with KeyReader(str(path)) as reader:
        for _ in range(2):
            with pytest.raises(
                LMDBDataError,
                match=r"key label-000000300 of .*words/data\.mdb cannot be read because the",
            ):
                reader.get(b"label-000000300")
        assert reader.get(b"label-000000001") == b"word"
        assert reader.get(b"label-000000501") is None


def test_key_reader_returns_label_and_image(tmp_path):
    path = write_words(tmp_path / "words", ["wörd", b"caf\xe9"], [b"image", b""])
    edit(path, {b"label-000000003": b"lonely"})
    with KeyReader(str(path)) as reader:
        assert (reader.label(1), reader.image(1)) == ("wörd", b"image")
        assert reader.image(2) == b""
        with pytest.raises(LMDBDataError, match="its label is not UTF-8") as caught:
            reader.label(2)
        assert caught.value.text == "caf\ufffd"
        with pytest.raises(LMDBDataError, match="its image, key image-000000003, is missing"):
            reader.image(3)
        with pytest.raises(LMDBDataError, match="its label, key label-000000004, is missing"):
            reader.label(4)


def test_num_samples_on_a_damaged_page_raises(tmp_path):
    path = zero_page(write_words(tmp_path / "words", ["word"] * 500), b"num-samples")
    with pytest.raises(LMDBDataError, match=r"key num-samples of .*data\.mdb cannot be read"):
        count_samples(str(path))


def test_find_lmdbs_searches_a_tree(tmp_path):
    for name in ("MJ/MJ_train", "MJ/MJ_test", "ST"):
        write_words(tmp_path / "root" / name, ["a"])
    (tmp_path / "root" / "empty").mkdir()
    (tmp_path / "root" / "MJ" / "loop").symlink_to(tmp_path / "root")
    found = find_lmdbs(str(tmp_path / "root"))
    names = [os.path.relpath(path, tmp_path / "root") for path in found]
    assert names == ["MJ/MJ_test", "MJ/MJ_train", "ST"]
    assert find_lmdbs(str(tmp_path / "root" / "ST")) == [str(tmp_path / "root" / "ST")]


def test_find_lmdbs_refuses_a_file(tmp_path):
    path = write_words(tmp_path / "words", ["a"])
    with pytest.raises(NotADirectoryError, match=r"words/data\.mdb is a file; give .*, .*/words$"):
        find_lmdbs(str(path / "data.mdb"))
    (tmp_path / "labels.tsv").touch()
    with pytest.raises(NotADirectoryError, match=r"labels\.tsv is a file; give the folder of an"):
        find_lmdbs(str(tmp_path / "labels.tsv"))


def test_find_lmdbs_raises_if_there_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no data\.mdb at any depth"):
        find_lmdbs(str(tmp_path))
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_lmdbs(str(tmp_path))


def test_find_lmdbs_skips_incomplete_folders(tmp_path):
    for name in ("a", "b.partial", "d/e.partial", "partial"):
        write_words(tmp_path / name, ["word"])
    found = find_lmdbs(str(tmp_path))
    assert [os.path.relpath(path, tmp_path) for path in found] == ["a", "partial"]
    # Given explicitly, it is found.
    assert find_lmdbs(str(tmp_path / "b.partial")) == [str(tmp_path / "b.partial")]


def test_find_lmdbs_logs_skipped_folders(tmp_path, monkeypatch):
    said = []
    log = "lpv_mmocr.datasets.lmdb_folders.print_log"
    monkeypatch.setattr(log, lambda message, **options: said.append(message))
    write_words(tmp_path / "a", ["word"])
    write_words(tmp_path / "b.partial", ["word"])
    find_lmdbs(str(tmp_path))
    assert said == [f"{tmp_path}/b.partial is skipped: according to its name it is incomplete"]


def test_changed_symlink_is_followed(tmp_path):
    old, new = (write_words(tmp_path / name, [name] * (1 + len(name))) for name in ("a", "bc"))
    link = tmp_path / "current"
    link.symlink_to(old)
    assert (count_samples(str(link)), label(link)) == (2, b"a")
    assert (count_samples(str(new)), label(new)) == (3, b"bc")
    link.unlink()
    link.symlink_to(new)
    assert (count_samples(str(link)), label(link)) == (3, b"bc")
    assert (count_samples(str(old)), label(old)) == (2, b"a")


def test_file_replaced_from_outside_is_reopened(tmp_path):
    path = write_words(tmp_path / "words", ["old"])
    assert (count_samples(str(path)), label(path)) == (1, b"old")
    other = write_words(tmp_path / "other", ["new", "words"])
    shutil.rmtree(path)
    shutil.copytree(other, path)
    assert (count_samples(str(path)), label(path)) == (2, b"new")


def test_links_to_one_data_file_are_one_lmdb(tmp_path):
    words = write_words(tmp_path / "words", ["one"])
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.mdb").symlink_to(words / "data.mdb")
    folders = [str(words), str(tmp_path / "first"), str(tmp_path / "second")]
    for folder in folders:
        with KeyReader(folder) as reader:
            assert reader.label(1) == "one"
    with pytest.raises(ValueError, match="second occurs twice"):
        refuse_repeated(folders[1:])
