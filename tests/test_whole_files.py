"""A file is whole or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr import whole_files
from lpv_mmocr.whole_files import intended_name, is_partial, partial_of, replaced_file

import pytest


def write(path: Path, content: bytes, **options) -> None:
    with replaced_file(path, **options) as file:
        file.write(content)


def os_with(fsync: Callable[[int], None]) -> SimpleNamespace:
    """The module ``os``, with another ``fsync``."""
    return SimpleNamespace(**{**vars(os), "fsync": fsync})


@pytest.mark.parametrize("durable", [True, False])
def test_file_is_replaced_in_one_step(tmp_path, durable):
    path = tmp_path / "file"
    write(path, b"old", durable=durable)
    with replaced_file(path, durable=durable) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        (partial,) = path.parent.glob("*.partial")
        assert is_partial(partial.name)
        assert intended_name(partial.name) == "file"
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


def test_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    write(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_was_deleted_is_not_made_again(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        write(tmp_path / "gone" / "file", b"")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_drives_that_cannot_sync_folders(tmp_path, monkeypatch, number):
    def fsync(descriptor: int) -> None:
        if os.path.isdir(os.readlink(f"/proc/self/fd/{descriptor}")):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(whole_files, "os", os_with(fsync))
    if number == errno.EIO:
        with pytest.raises(OSError, match="put/output"):
            write(tmp_path / "file", b"new")
    else:
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_old_file_stays_where_writing_fails(tmp_path, error):
    write(tmp_path / "file", b"old")
    with pytest.raises(type(error)), replaced_file(tmp_path / "file") as file:
        file.write(b"half")
        raise error
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_two_writers_do_not_mix(tmp_path):
    path = tmp_path / "file"
    with replaced_file(path) as first:
        first.write(b"first")
        with replaced_file(path) as second:
            second.write(b"the second")
        assert path.read_bytes() == b"the second"
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_old_file_stays_when_a_file_may_not_grow(tmp_path):
    """A real refusal of the operating system in the middle of the data."""
    import resource

    write(tmp_path / "file", b"old")
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write(tmp_path / "file", bytes(5000))
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EFBIG
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("durable", [True, False])
def test_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch, durable):
    events = []

    def fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append(("sync", intended_name(name)))

    original = Path.replace
    monkeypatch.setattr(whole_files, "os", os_with(fsync))
    monkeypatch.setattr(
        Path, "replace", lambda a, b: (events.append(("name", b.name)), original(a, b))[1]
    )
    write(tmp_path / "f", b"x", durable=durable)
    synced = [("sync", "f"), ("name", "f"), ("sync", tmp_path.name)]
    assert events == (synced if durable else [("name", "f")])


@pytest.mark.parametrize(
    ("name", "intended"),
    [
        ("iter_9.pth.0a1b2c3d.partial", "iter_9.pth"),
        ("iter_9.pth.partial", "iter_9.pth"),
        ("iter_9.pth", "iter_9.pth"),
        ("iter_9.pth.0a1b2c3d", "iter_9.pth.0a1b2c3d"),
        (".partial", ".partial"),
    ],
)
def test_intended_name(name, intended):
    assert intended_name(name) == intended


def test_name_of_what_one_process_makes():
    assert partial_of(Path("a/b.tsv")) == Path("a/b.tsv.partial")
    assert is_partial(partial_of(Path("a/b.tsv")).name)
