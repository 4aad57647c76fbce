from __future__ import annotations

import hashlib

from lpv_mmocr.reading import weights
from lpv_mmocr.reading.weights import find_weights

import pytest


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An empty place for shipped weights, and no other weights about."""
    monkeypatch.delenv("LPV_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "shipped_folders", lambda: (tmp_path / "a", tmp_path / "b"))
    (tmp_path / "b").mkdir()
    return tmp_path / "b" / "lpv-tiny.pth"


def test_argument_then_variable_then_shipped(shipped, tmp_path, monkeypatch):
    argument, variable = tmp_path / "argument.pth", tmp_path / "variable.pth"
    for file in (argument, variable, shipped):
        file.touch()
    assert find_weights() == str(shipped)
    monkeypatch.setenv("LPV_WEIGHTS", str(variable))
    assert find_weights() == str(variable)
    assert find_weights(argument) == str(argument)


def test_shipped_by_name(shipped, tmp_path, monkeypatch):
    other = shipped.with_name("lpv-other.pth")
    other.touch()
    assert find_weights("lpv-other") == str(other)
    monkeypatch.setenv("LPV_WEIGHTS", "lpv-other")
    assert find_weights() == str(other)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lpv-other").mkdir()  # of a training, perhaps
    assert find_weights("lpv-other") == str(other)
    (tmp_path / "lpv-other").rmdir()
    (tmp_path / "lpv-other").touch()  # a file of that name comes first
    assert find_weights("lpv-other") == "lpv-other"


def test_name_that_is_not_shipped_says_which_are(shipped):
    for name in ("lpv-b", "lpv-a"):
        shipped.with_name(f"{name}.pth").touch()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint lpv-c; shipped .*: lpv-a, lpv-b$"):
        find_weights("lpv-c")
    for path in ("x/lpv-a", "lpv-a.pth"):  # a file that is meant, and not there
        with pytest.raises(FileNotFoundError, match=rf"no checkpoint {path}; shipped checkpoints"):
            find_weights(path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint mine\.pth$"):
        find_weights("mine.pth")


class TestShippedFileIsTheOneThatWasPublished:
    def test_listed(self, shipped):
        shipped.write_bytes(b"weights")
        digest = hashlib.sha256(b"weights").hexdigest()
        for line in (f"{digest}  {shipped.name}", f"{digest.upper()} *{shipped.name}"):
            (shipped.parent / "SHA256SUMS").write_text(f"{'0' * 64}  other.pth\n{line}\n")
            assert find_weights() == str(shipped)

    @pytest.mark.parametrize("name", ["lpv-tiny.pth", "other.pth"])
    def test_another_or_not_listed(self, shipped, name):
        shipped.write_bytes(b"weights")
        (shipped.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
        with pytest.raises(ValueError, match=r"lpv-tiny\.pth.*Get lpv-tiny\.pth again") as info:
            find_weights()
        for part in (str(shipped.parent / "SHA256SUMS"), "--weights"):
            assert part in str(info.value)

    def test_another_by_name(self, shipped):
        shipped.write_bytes(b"weights")
        (shipped.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {shipped.name}\n")
        with pytest.raises(ValueError, match="is not the file that was published"):
            find_weights(shipped.stem)

    def test_weights_of_ones_own_are_not_compared(self, shipped, tmp_path):
        (tmp_path / "own.pth").touch()
        (tmp_path / "SHA256SUMS").write_text("nothing\n")
        assert find_weights(tmp_path / "own.pth") == str(tmp_path / "own.pth")


def test_home_and_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.pth").touch()
    assert find_weights("~/own.pth") == str(tmp_path / "own.pth")
    assert find_weights("https://example.org/lpv.pth") == "https://example.org/lpv.pth"


def test_none_anywhere_says_the_three_ways_and_how_to_make_some(shipped):
    with pytest.raises(FileNotFoundError) as info:
        find_weights()
    for part in ("--weights", "LPV_WEIGHTS", str(shipped), "quickstart", "train", "convert"):
        assert part in str(info.value)


def test_missing_file_says_who_named_it(shipped, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint gone\.pth$"):
        find_weights("gone.pth")
    monkeypatch.setenv("LPV_WEIGHTS", "gone.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth, which LPV_WEIGHTS names"):
        find_weights()


def test_folder_is_no_checkpoint(shipped, tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_WEIGHTS", str(tmp_path))
    with pytest.raises(IsADirectoryError, match=r"are a folder: .*, which LPV_WEIGHTS names; give"):
        find_weights()


def test_places_of_a_checkout_and_of_an_installation():
    inside, beside = weights.shipped_folders()
    assert inside.parts[-3:] == ("lpv_mmocr", ".mim", "checkpoints")
    assert beside == inside.parents[2] / "checkpoints"
