from __future__ import annotations

import itertools
import os
from pathlib import Path

from lpv_mmocr.reading.image_files import ImageFiles, matches_nothing

import pytest

EVERYTHING = ["a.JPG", "b.png", "deep/d.webp", "deep/er/c.tiff", "notes.txt", "x[1].png"]


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    for name in EVERYTHING:
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"


def test_folder_is_searched_recursively_in_order(tree):
    files = ImageFiles([tree])
    names = ["a.JPG", "b.png", "x[1].png", "deep/d.webp", "deep/er/c.tiff"]
    assert list(files) == [str(tree / name) for name in names]
    assert files.skipped == 1
    assert len(list(files)) == 5 and files.skipped == 1, "a second search starts anew"


def test_named_file_may_have_any_suffix(tree):
    assert list(ImageFiles(["notes.txt", "x[1].png"])) == ["notes.txt", "x[1].png"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["b.png", "x[1].png"]),
        ("?.*", ["a.JPG", "b.png"]),
        ("[ab].*", ["a.JPG", "b.png"]),
        ("**/*.tiff", ["deep/er/c.tiff"]),
        ("deep/**", ["deep/d.webp", "deep/er/c.tiff"]),
        ("d*", ["deep/d.webp", "deep/er/c.tiff"]),
        ("**/er", ["deep/er/c.tiff"]),
        ("**/[de]*", ["deep/d.webp", "deep/er/c.tiff"]),
        ("./**/*", [f"./{name}" for name in EVERYTHING]),
        ("deep/e*/", ["deep/er/c.tiff"]),
    ],
)
def test_pattern_finds_files_and_searches_folders(tree, pattern, found):
    files = ImageFiles([pattern])
    assert list(files) == found
    assert files.skipped == 0


def test_files_that_a_pattern_names_are_not_counted_in_their_folder(tree):
    (tree / "deep" / "draft").touch()
    files = ImageFiles(["**/d*"])
    assert list(files) == ["deep/d.webp", "deep/er/c.tiff", "deep/draft"]
    assert files.skipped == 0


def test_several_patterns_are_expanded_independently(tree):
    (tree / "deep" / "draft").touch()
    files = ImageFiles(["deep/**/d*", "d*"])
    assert list(files) == ["deep/d.webp", "deep/draft", "deep/d.webp", "deep/er/c.tiff"]
    assert files.skipped == 1, "where it was not named"


def test_pipes_in_folders_are_left_alone(tree):
    os.mkfifo(tree / "deep" / "a.png")
    files = ImageFiles(["deep"])
    assert list(files) == ["deep/d.webp", "deep/er/c.tiff"]
    assert files.skipped == 1
    assert list(ImageFiles(["deep/a.png"])) == ["deep/a.png"]


def test_results_are_skipped_unless_named(tree):
    assert list(ImageFiles(["deep"], results="deep/er")) == ["deep/d.webp"]
    assert list(ImageFiles(["deep/er"], results="deep/er")) == ["deep/er/c.tiff"]
    assert list(ImageFiles(["deep/er/c.tiff"], results="deep/er")) == ["deep/er/c.tiff"]


def test_results_that_match_a_pattern_are_skipped_beside_other_files(tree):
    (tree / "deep" / "er" / "more").mkdir()
    (tree / "deep" / "er" / "more" / "f.png").touch()
    results = dict(results="deep/er")
    for patterns in (["deep/**/*"], ["dee*", "deep/d*"], ["./**/d*"]):
        files = ImageFiles(patterns, **results)
        assert {os.path.basename(file) for file in files} == {"d.webp"}
        assert files.skipped == 2, "each file once"
    assert list(ImageFiles(["deep/*/*.tiff"], **results)) == ["deep/er/c.tiff"]


def test_input_without_images_is_yielded_itself(tree):
    (tree / "empty").mkdir()
    assert list(ImageFiles(["gone.png", "*.bmp", "empty"])) == ["gone.png", "*.bmp", "empty"]
    assert matches_nothing("gone.png") and matches_nothing("*.bmp")
    assert not matches_nothing("empty") and not matches_nothing("*.png")


def test_inaccessible_path_may_exist(tree, monkeypatch):
    def stat(path, **_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", stat)
    assert not matches_nothing("locked/a.png")


def test_null_characters_lead_nowhere():
    assert matches_nothing("a\0b")


def test_listed_paths_are_literal_and_come_last(tree):
    files = ImageFiles(["b.png"], ["*.png", "", " a.JPG \n", "deep"])
    assert list(files) == ["b.png", "*.png", "", " a.JPG \n", "deep/d.webp", "deep/er/c.tiff"]


def test_listed_paths_are_taken_one_at_a_time(tree):
    taken = []

    def lines():
        for number in itertools.count():
            taken.append(number)
            yield f"{number}.png"

    assert list(itertools.islice(ImageFiles([], lines()), 3)) == ["0.png", "1.png", "2.png"]
    assert len(taken) == 3


def test_links_are_followed_but_not_in_cycles(tree):
    os.symlink(tree, tree / "deep" / "circle")
    (tree.parent / "other").mkdir()
    (tree.parent / "other" / "e.png").touch()
    os.symlink(tree.parent / "other", tree / "deep" / "link")
    found = list(ImageFiles(["deep"]))
    assert "deep/link/e.png" in found
    assert len({os.path.realpath(file) for file in found}) == len(found)


def test_files_are_found_by_their_own_path_rather_than_through_a_link(tree):
    os.symlink(tree / "deep", tree / "a link")
    os.symlink(tree / "deep" / "er", tree / "deep" / "another link")
    names = ["a.JPG", "b.png", "x[1].png", "deep/d.webp", "deep/er/c.tiff"]
    assert list(ImageFiles([tree])) == [str(tree / name) for name in names]
    assert next(iter(ImageFiles(["a link"]))) == "a link/d.webp"


def test_folder_that_cannot_be_listed_is_yielded_itself(tree, monkeypatch):
    walk = os.walk

    def walk_with_locked(path, *, onerror, **options):
        onerror(PermissionError(13, "Permission denied", os.path.join(path, "locked")))
        yield from walk(path, onerror=onerror, **options)

    monkeypatch.setattr(os, "walk", walk_with_locked)
    assert list(ImageFiles(["deep"]))[-1] == "deep/locked"
