"""Tests of the search for packages."""

from __future__ import annotations

from pathlib import Path

import lpv_mmocr
from lpv_mmocr.package_lookup import get_installed_path, is_installed

import pytest
from package_cases import make_package


def make_distribution(site: Path, name: str, top_level: str) -> None:
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(f"{top_level}\n")


def test_finds_a_module_that_is_not_installed(site):
    package = make_package(site / "merely_importable")
    assert is_installed("merely_importable")
    assert get_installed_path("merely_importable") == str(package)


def test_finds_a_package_by_its_distribution(site):
    package = make_package(site / "demo_module")
    make_distribution(site, "demo-distribution", "demo_module")
    assert is_installed("demo-distribution")
    assert get_installed_path("demo-distribution") == str(package)


def test_finds_an_editable_installation(tmp_path, monkeypatch):
    make_distribution(tmp_path, "demo-editable", "demo_editable")
    package = make_package(tmp_path / "checkout" / "demo_editable")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "checkout")
    assert get_installed_path("demo-editable") == str(package)


def test_finds_a_checkout_by_the_name_of_its_distribution():
    assert is_installed("lpv-mmocr")
    assert get_installed_path("lpv-mmocr") == str(Path(lpv_mmocr.__file__).parent)


def test_unknown_package_is_not_found():
    assert not is_installed("no_such_package")
    assert not is_installed("no_such_package.part")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        get_installed_path("no_such_package")


def test_namespace_package_has_no_path(site):
    (site / "only_a_directory").mkdir()
    assert not is_installed("only_a_directory")
    with pytest.raises(ModuleNotFoundError, match="only_a_directory"):
        get_installed_path("only_a_directory")
