from __future__ import annotations

import hashlib

from lpv_mmocr.reading import weights
from lpv_mmocr.reading.weights import find_weights

import pytest


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """Path for default weights in an empty folder, with no other weights available."""
    monkeypatch.delenv("LPV_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "bundled_folders", lambda: (tmp_path / "a", tmp_path / "b"))
    (tmp_path / "b").mkdir()
    return tmp_path / "b" / "lpv-tiny.pth"


def test_argument_overrides_variable_overrides_bundled(bundled, tmp_path, monkeypatch):
    argument, variable = tmp_path / "argument.pth", tmp_path / "variable.pth"
    for file in (argument, variable, bundled):
        file.touch()
    assert find_weights() == str(bundled)
    monkeypatch.setenv("LPV_WEIGHTS", str(variable))
    assert find_weights() == str(variable)
    assert find_weights(argument) == str(argument)


def test_bundled_weights_are_found_by_name(bundled, tmp_path, monkeypatch):
    other = bundled.with_name("lpv-other.pth")
    other.touch()
    assert find_weights("lpv-other") == str(other)
    monkeypatch.setenv("LPV_WEIGHTS", "lpv-other")
    assert find_weights() == str(other)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lpv-other").mkdir()  # perhaps of a training run
    assert find_weights("lpv-other") == str(other)
    (tmp_path / "lpv-other").rmdir()
    (tmp_path / "lpv-other").touch()  # a file of that name comes first
    assert find_weights("lpv-other") == "lpv-other"


def test_error_for_unknown_name_lists_bundled_weights(bundled):
    for name in ("lpv-b", "lpv-a"):
        bundled.with_name(f"{name}.pth").touch()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint lpv-c; bundled .*: lpv-a, lpv-b$"):
        find_weights("lpv-c")
    for path in ("x/lpv-a", "lpv-a.pth"):  # meant as a file, which does not exist
        with pytest.raises(FileNotFoundError, match=rf"no checkpoint {path}; bundled checkpoints"):
            find_weights(path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint mine\.pth$"):
        find_weights("mine.pth")


class TestShippedFileIsTheOneThatWasPublished:
    def test_listed_file_is_accepted(self, bundled):
        bundled.write_bytes(b"weights")
        digest = hashlib.sha256(b"weights").hexdigest()
        for line in (f"{digest}  {bundled.name}", f"{digest.upper()} *{bundled.name}"):
            (bundled.parent / "SHA256SUMS").write_text(f"{'0' * 64}  other.pth\n{line}\n")
            assert find_weights() == str(bundled)

    @pytest.mark.parametrize("name", ["lpv-tiny.pth", "other.pth"])
    def test_changed_or_unlisted_file_is_refused(self, bundled, name):
        bundled.write_bytes(b"weights")
        (bundled.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
        with pytest.raises(ValueError, match=r"lpv-tiny\.pth.*Get lpv-tiny\.pth again") as info:
            find_weights()
        for part in (str(bundled.parent / "SHA256SUMS"), "--weights"):
            assert part in str(info.value)

    def test_changed_file_is_refused_by_name_too(self, bundled):
        bundled.write_bytes(b"weights")
        (bundled.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {bundled.name}\n")
        with pytest.raises(ValueError, match="is not the file that was published"):
            find_weights(bundled.stem)

    def test_own_weights_are_not_compared(self, bundled, tmp_path):
        (tmp_path / "own.pth").touch()
        (tmp_path / "SHA256SUMS").write_text("nothing\n")
        assert find_weights(tmp_path / "own.pth") == str(tmp_path / "own.pth")


def test_home_is_expanded_and_addresses_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.pth").touch()
    assert find_weights("~/own.pth") == str(tmp_path / "own.pth")
    assert find_weights("https://example.org/lpv.pth") == "https://example.org/lpv.pth"


def test_error_without_weights_says_how_to_get_some(bundled):
    with pytest.raises(FileNotFoundError) as info:
        find_weights()
    for part in ("--weights", "LPV_WEIGHTS", str(bundled), "quickstart", "train", "convert"):
        assert part in str(info.value)


def test_error_for_missing_file_names_its_variable(bundled, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint gone\.pth$"):
        find_weights("gone.pth")
    monkeypatch.setenv("LPV_WEIGHTS", "gone.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth, which LPV_WEIGHTS names"):
        find_weights()


def test_folder_is_refused(bundled, tmp_path, monkeypatch):
    monkeypatch.setenv("LPV_WEIGHTS", str(tmp_path))
    with pytest.raises(IsADirectoryError, match=r"are a folder: .*, which LPV_WEIGHTS names; give"):
        find_weights()


def test_bundled_folders_of_installation_and_checkout():
    inside, beside = weights.bundled_folders()
    assert inside.parts[-3:] == ("lpv_mmocr", ".mim", "checkpoints")
    assert beside == inside.parents[2] / "checkpoints"
