"""Build script of the ``lpv-mmocr`` distribution.

In addition to the package, a wheel contains configs, tools, the model index and bundled checkpoints
under ``lpv_mmocr/.mim``, where MMEngine looks for them (``lpv_mmocr::textrecog/lpv/…``). In a
checkout, and thus in an editable installation, that folder holds links to the originals, which are
copied into a wheel.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
PACKAGE = "lpv_mmocr"
MIM_PARTS = ("configs", "tools", "checkpoints", "model-index.yml")
MIM_LINKS = ("configs", "tools", "model-index.yml")  # in a checkout
# These work in a checkout only.
NOT_IN_WHEELS = ("__pycache__", "_environment.sh", "quickstart.*", "run_tests.sh")


def read_version() -> str:
    namespace: dict[str, str] = {}
    exec((ROOT / PACKAGE / "version.py").read_text(encoding="utf-8"), namespace)
    return namespace["__version__"]


def read_requirements(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    stripped = (line.partition(" #")[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith(("#", "-"))]


class BuildWithMim(build_py):
    """Build step that adds the ``.mim`` folder."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            parts = [ROOT / part for part in MIM_PARTS if (ROOT / part).exists()]
            copy(parts, Path(self.build_lib, PACKAGE, ".mim"))


class SdistWithMim(sdist):
    """Archive of the sources with the links of a checkout, in place of copies of what they name."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        mim = Path(base_dir, PACKAGE, ".mim")
        mim.mkdir(exist_ok=True)
        for name in MIM_LINKS:
            with contextlib.suppress(OSError):  # they exist, or Windows does not permit links
                os.symlink(f"../../{name}", mim / name, target_is_directory=(ROOT / name).is_dir())


def copy(parts: list[Path], mim: Path) -> None:
    # An earlier build may have left files that are no longer in the sources.
    shutil.rmtree(mim, ignore_errors=True)
    mim.mkdir(parents=True)
    for part in parts:
        if part.is_dir():
            ignored = shutil.ignore_patterns(*NOT_IN_WHEELS)
            shutil.copytree(part, mim / part.name, ignore=ignored)
        else:
            shutil.copy2(part, mim)


readme = ROOT / "README.md"
setup(
    name="lpv-mmocr",
    version=read_version(),
    description="LPV scene text recognition (IJCAI 2023) as a plugin for MMOCR",
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords="OCR, scene text recognition, LPV, MMOCR, OpenMMLab",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*", "lpv_onnx"]),
    py_modules=["lpv_mmocr_cli"],
    package_data={PACKAGE: ["**/*.txt", "**/*.jinja", "demo/examples/*.jpg"]},
    include_package_data=False,
    cmdclass={"build_py": BuildWithMim, "sdist": SdistWithMim},
    entry_points={"console_scripts": ["lpv-mmocr = lpv_mmocr_cli:main"]},
    python_requires=">=3.10",
    install_requires=read_requirements("runtime.txt"),
    extras_require={
        "demo": read_requirements("demo.txt"),
        "lite": read_requirements("lite.txt"),
        "onnx": read_requirements("onnx.txt"),
        "tests": read_requirements("tests.txt"),
        "words": read_requirements("words.txt"),
    },
    zip_safe=False,
)
