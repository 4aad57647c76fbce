"""Tests of atomically written files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr import atomic_files
from lpv_mmocr.atomic_files import (
    atomic_write,
    final_name,
    is_partial,
    partial_path,
    truncated,
    write_file,
    write_image,
)

import numpy as np
import pytest
from PIL import Image, ImageFilter


def write(path: Path, content: bytes, **options) -> None:
    with atomic_write(path, **options) as file:
        file.write(content)


def os_with(fsync: Callable[[int], None]) -> SimpleNamespace:
    """Return the contents of the module ``os`` with another ``fsync``."""
    return SimpleNamespace(**{**vars(os), "fsync": fsync})


@pytest.mark.parametrize("durable", [True, False])
def test_file_is_replaced_atomically(tmp_path, durable):
    path = tmp_path / "file"
    write(path, b"old", durable=durable)
    with atomic_write(path, durable=durable) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        (partial,) = path.parent.glob("*.partial")
        assert is_partial(partial.name)
        assert final_name(partial.name) == "file"
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


def test_file_has_default_permissions(tmp_path):
    (tmp_path / "plain").touch()
    write(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_deleted_folder_is_not_created_again(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        write(tmp_path / "gone" / "file", b"")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_drive_need_not_support_syncing_folders(tmp_path, monkeypatch, number):
    def fsync(descriptor: int) -> None:
        if os.path.isdir(os.readlink(f"/proc/self/fd/{descriptor}")):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic_files, "os", os_with(fsync))
    if number == errno.EIO:
        with pytest.raises(OSError, match="put/output"):
            write(tmp_path / "file", b"new")
    else:
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_old_file_stays_if_writing_fails(tmp_path, error):
    write(tmp_path / "file", b"old")
    with pytest.raises(type(error)), atomic_write(tmp_path / "file") as file:
        file.write(b"half")
        raise error
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_two_writers_do_not_mix(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first:
        first.write(b"first")
        with atomic_write(path) as second:
            second.write(b"the second")
        assert path.read_bytes() == b"the second"
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_old_file_stays_if_the_size_limit_is_exceeded(tmp_path):
    """The operating system refuses to write in the middle of the data."""
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
def test_content_is_synced_before_renaming(tmp_path, monkeypatch, durable):
    events = []

    def fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append(("sync", final_name(name)))

    original = Path.replace
    monkeypatch.setattr(atomic_files, "os", os_with(fsync))
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
def test_intended_name_omits_the_partial_suffix(name, intended):
    assert final_name(name) == intended


def test_partial_name_is_recognised():
    assert partial_path(Path("a/b.tsv")) == Path("a/b.tsv.partial")
    assert is_partial(partial_path(Path("a/b.tsv")).name)


@pytest.mark.parametrize("content", ["ü\n", "ü\n".encode(), memoryview("ü\n".encode())])
def test_file_is_written_with_its_folder(tmp_path, content):
    path = tmp_path / "new" / "file"
    for _ in range(2):  # the second time, it is replaced
        write_file(path, content)
    assert path.read_bytes() == "ü\n".encode()
    assert os.listdir(path.parent) == ["file"]


def test_file_stays_if_its_replacement_fails(tmp_path):
    write_file(tmp_path / "file", "old")
    with pytest.raises(TypeError):
        write_file(tmp_path / "file", 1)
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for content in ("new", "newer"):  # the second time, the file exists
        write_file(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == content


def test_permissions_of_a_replaced_file_are_kept(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o640)
    write_file(tmp_path / "file", "new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("ü" * 127)
    write_file(path, "content")
    assert path.read_text() == "content" and os.listdir(tmp_path) == [path.name]


def test_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, "content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [("abc", 3, "abc"), ("abc", 2, "ab"), ("aü", 2, "a"), ("ü", 1, "")],
)
def test_names_are_truncated_between_characters(name, size, expected):
    assert truncated(name, size) == expected
    assert len(os.fsencode(expected)) <= size


def test_error_of_a_full_disk_names_the_file(tmp_path, small_disk):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=rf"too large: .{path}") as raised:
        write_file(path, bytes(2**19))
    assert raised.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


class TestWriteImage:
    @pytest.mark.parametrize("name", ["new/a.png", "a.JPG", "a.webp", "a.tiff"])
    def test_suffix_determines_the_format(self, tmp_path, name):
        write_image(tmp_path / name, Image.new("RGB", (5, 4), "red"))
        with Image.open(tmp_path / name) as image:
            assert image.format == Image.registered_extensions()[Path(name).suffix.lower()]
            assert image.size == (5, 4)
        assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 1

    def test_full_disk_keeps_an_earlier_image(self, tmp_path, small_disk):
        path = tmp_path / "a.png"
        write_image(path, Image.new("RGB", (5, 4)))
        noise = Image.effect_noise((1000, 1000), 100)
        with pytest.raises(OSError, match=rf"too large: .{path}"):
            write_image(path, noise)
        assert Image.open(path).size == (5, 4) and os.listdir(tmp_path) == ["a.png"]

    @pytest.mark.parametrize(("name", "most"), [("a.png", 0), ("a.webp", 0), ("a.jpg", 3)])
    def test_little_is_lost(self, tmp_path, name, most):
        noise = Image.effect_noise((64, 64), 60).filter(ImageFilter.GaussianBlur(1))
        write_image(tmp_path / name, noise.convert("RGB"))
        with Image.open(tmp_path / name) as image:
            back = np.asarray(image.convert("L"), float)
        assert np.abs(back - np.asarray(noise, float)).mean() <= most

    def test_unknown_suffix(self, tmp_path):
        with pytest.raises(ValueError, match=r"a\.xyz: no image format has the suffix '\.xyz'"):
            write_image(tmp_path / "new" / "a.xyz", Image.new("L", (1, 1)))
        assert not os.listdir(tmp_path)

    @pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
    def test_image_too_large_for_its_format(self, tmp_path, name):
        with pytest.raises(OSError, match=rf"{name} cannot be written: "):
            write_image(tmp_path / name, Image.new("L", (70_000, 1)))
        assert not os.listdir(tmp_path)
