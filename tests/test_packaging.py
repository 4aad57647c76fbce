"""Tests of the built wheel, in a separate environment outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("configs", "tools", "checkpoints")
TINY = "lpv_mmocr::textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py"


def run(*command: object, cwd: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Copy of the sources, so that a build finds no old files and leaves none behind."""
    copy = tmp_path_factory.mktemp("source")
    # All files that git does not ignore, including new ones.
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listing.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def files_under(source: Path, folder: str) -> set[str]:
    return {
        str(file.relative_to(source)) for file in (source / folder).rglob("*") if file.is_file()
    }


@pytest.fixture(scope="module")
def built(source, tmp_path_factory) -> Path:
    """Folder with an sdist made from the sources, and a wheel made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    copy = shutil.copytree(source, tmp_path_factory.mktemp("build") / "source")
    run(sys.executable, "-m", "build", "--outdir", folder, copy, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    (file,) = built.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """``bin`` folder of an environment that has the wheel but no access to the checkout.

    Third-party packages come from the environment of the tests, to avoid downloading PyTorch. A
    ``.pth`` file adds their folder; ``.pth`` files within that folder, such as that of an editable
    installation, have no effect.
    """
    folder = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(folder)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.check_output([python, "-c", ask], text=True).strip()
    # --ignore-installed: an editable installation must not stand in for the wheel.
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
        *("--no-deps", "--no-index", "--ignore-installed", wheel.filename),
        cwd=folder,
    )
    Path(packages, "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.mark.slow
class TestContents:
    def test_wheel_has_the_complete_package(self, wheel, source):
        assert files_under(source, "lpv_mmocr") <= set(wheel.namelist())

    def test_configs_tools_checkpoints_and_model_index(self, wheel, source):
        only_in_checkouts = {
            "tools/_environment.sh",
            "tools/quickstart.py",
            "tools/quickstart.sh",
            "tools/run_tests.sh",
        }
        expected = set().union(*(files_under(source, part) for part in PARTS))
        mim = "lpv_mmocr/.mim/"
        found = {
            name.removeprefix(mim)
            for name in wheel.namelist()
            if name.startswith(mim) and not name.endswith("/")
        }
        assert found == (expected | {"model-index.yml"}) - only_in_checkouts

    def test_wheel_has_no_other_packages(self, wheel):
        tops = {name.split("/")[0] for name in wheel.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {
            "lpv_mmocr",
            "lpv_mmocr_cli.py",
            "lpv_onnx",
        }

    def test_mmcv_is_an_optional_requirement(self, wheel):
        (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(wheel.read(name).decode())
        requirements = metadata.get_all("Requires-Dist")
        assert [line for line in requirements if line.startswith("mmcv")] == [
            'mmcv-lite==2.0.1; extra == "lite"'
        ]
        assert metadata["Requires-Python"] == ">=3.10"

    def test_sdist_has_what_a_build_needs(self, built, source):
        (file,) = built.glob("*.tar.gz")
        with tarfile.open(file) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        needed = {"setup.py", "pyproject.toml", "LICENSE", "requirements/runtime.txt"}
        assert needed.union(*(files_under(source, part) for part in PARTS)) <= names

    def test_configs_of_an_unpacked_sdist_have_names(self, built, tmp_path):
        (file,) = built.glob("*.tar.gz")
        with tarfile.open(file) as archive:
            archive.extractall(tmp_path, filter="data")
        (unpacked,) = tmp_path.iterdir()
        code = f"import lpv_mmocr; from mmengine.config import Config; Config.fromfile({TINY!r})"
        shown = run(sys.executable, "-c", f"{code}; print(lpv_mmocr.__file__)", cwd=unpacked)
        assert shown.startswith(str(unpacked))


@pytest.mark.slow
class TestInstalled:
    def test_config_by_name_builds_a_model(self, installed, tmp_path):
        code = f"""
import sys
import lpv_mmocr
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

cfg = Config.fromfile({TINY!r})
init_default_scope(cfg.default_scope)
model = MODELS.build(cfg.model)
print(lpv_mmocr.__file__)
print(sys.path)
print(type(model).__name__, sum(p.numel() for p in model.parameters()))
"""
        output = run(installed / "python", "-c", code, cwd=tmp_path)
        file, path, size = output.splitlines()[-3:]
        assert file.startswith(str(installed.parent)), "not that of the wheel"
        assert f"'{ROOT}'" not in path
        assert size == "LPV 8109842"

    def test_reads_with_bundled_weights(self, installed, source, tmp_path):
        image = source / "lpv_mmocr" / "demo" / "examples" / "coffee.jpg"
        without = {"LPV_WEIGHTS": ""}
        output = run(installed / "lpv-mmocr", "read", image, cwd=tmp_path, **without)
        assert output.split()[1] == "coffee"

    def test_reads_and_trains_as_in_a_checkout(self, installed, tmp_path):
        output = run(installed / "lpv-mmocr", "check", "--device", "cpu", cwd=tmp_path)
        assert output.endswith("All checks passed.\n")
        assert "training on cpu: loss" in output

    def test_external_config_inherits(self, installed, tmp_path):
        (tmp_path / "own.py").write_text(
            f"_base_ = [{TINY!r}]\nmodel = dict(decoder=dict(max_seq_len=40))\n"
        )
        output = run(installed / "lpv-mmocr", "config", "own.py", cwd=tmp_path)
        assert "max_seq_len=40" in output
        assert "LPVSVTREncoder" in output

    def test_command_shows_help_and_version(self, installed, tmp_path):
        assert "Scene text recognition" in run(installed / "lpv-mmocr", "--help", cwd=tmp_path)
        version = run(installed / "lpv-mmocr", "--version", cwd=tmp_path).split()[1]
        assert f'"{version}"' in (ROOT / "lpv_mmocr" / "version.py").read_text()
        output = run(installed / "lpv-mmocr", "train", "--help", cwd=tmp_path)
        assert output.startswith("usage: lpv-mmocr train")
        assert "--auto-scale-lr" in output
