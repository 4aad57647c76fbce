"""Tests that patches repair what is broken and leave everything else unchanged."""

from __future__ import annotations

import pkgutil
import re
import sys
import textwrap
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

from lpv_mmocr import compat, package_lookup

import numpy as np
import pytest
import torch
from fresh_python import output_of
from mmocr.registry import MODELS
from package_cases import make_package

COMPAT_FILE = Path(compat.__file__)
NUMPY_NAMES = ("sctypes", "int0", "bool")

# The module alone: importing the package would apply all patches at once.
LOAD_COMPAT = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("compat", {str(COMPAT_FILE)!r})
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
"""


def run_python(code: str, *search_path: Path) -> str:
    """Run code in a fresh interpreter and return its output."""
    prologue = f"import sys; sys.path[:0] = {[str(path) for path in search_path]!r}\n"
    return output_of(prologue + textwrap.dedent(code))


class TestNumpyNames:
    def test_restores_missing_names(self, monkeypatch):
        lacking = types.SimpleNamespace(
            **{name: value for name, value in vars(np).items() if name not in NUMPY_NAMES}
        )
        monkeypatch.setitem(sys.modules, "numpy", lacking)
        compat.patch_numpy_names()
        assert lacking.int0 is np.intp
        assert lacking.bool is np.bool_
        assert set(lacking.sctypes) == {"int", "uint", "float", "complex", "others"}
        assert np.float64 in lacking.sctypes["float"]
        assert all(np.issubdtype(kind, np.unsignedinteger) for kind in lacking.sctypes["uint"])

    def test_keeps_existing_names(self, monkeypatch):
        complete = types.SimpleNamespace(**vars(np))
        for name in NUMPY_NAMES:
            setattr(complete, name, f"NumPy's own {name}")
        monkeypatch.setitem(sys.modules, "numpy", complete)
        compat.patch_numpy_names()
        assert [getattr(complete, name) for name in NUMPY_NAMES] == [
            f"NumPy's own {name}" for name in NUMPY_NAMES
        ]

    def test_imgaug_works(self):
        import imgaug.augmenters as iaa

        image = np.zeros((32, 64, 3), np.uint8)
        augmenter = iaa.SomeOf((1, 2), [iaa.Add(3), iaa.Affine(rotate=5), iaa.Multiply(2)])
        assert augmenter(image=image).shape == image.shape


class TestTorchvisionOperators:
    """Tests with stand-ins for torchvision, independent of the installed one."""

    def patch(self, then: str, site: Path) -> str:
        patch = "compat.patch_torchvision_operators()\n"
        return run_python(LOAD_COMPAT + patch + textwrap.dedent(then), site)

    def test_declares_missing_operators(self, tmp_path):
        make_package(
            tmp_path / "torchvision",
            """
            import torch
            for name in ("nms", "qnms"):  # as torchvision does it without its library
                torch._C._dispatch_has_kernel_for_dispatch_key(f"torchvision::{name}", "Meta")
            """,
        )
        output = self.patch(
            """
            import torch, torchvision
            print(torch.ops.torchvision.nms.default._schema)
            print(torch.ops.torchvision.qnms.default._schema)
            """,
            tmp_path,
        )
        assert "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold)" in output
        assert "torchvision::qnms(Tensor dets, Tensor scores, float iou_threshold)" in output

    def test_leaves_a_working_torchvision(self, tmp_path):
        make_package(
            tmp_path / "torchvision",
            """
            import torch
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets) -> Tensor")
            """,
        )
        output = self.patch(
            """
            import torch
            print(torch.ops.torchvision.nms.default._schema, compat._OPERATOR_LIBRARIES)
            """,
            tmp_path,
        )
        assert "nms(Tensor dets) -> Tensor []" in output

    def test_lets_other_errors_through(self, tmp_path):
        make_package(tmp_path / "torchvision", "raise RuntimeError('something else')")
        output = run_python(
            LOAD_COMPAT
            + textwrap.dedent(
                """
                try:
                    compat.patch_torchvision_operators()
                except RuntimeError as error:
                    print("raised", error)
                """
            ),
            tmp_path,
        )
        assert output == "raised something else\n"


class TestMmcvExtension:
    @pytest.fixture
    def absent(self, monkeypatch):
        """MMCV without its compiled operators."""
        monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
        monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: None)
        yield
        sys.modules.pop("mmcv._ext", None)

    def test_stand_in_explains_itself_when_called(self, absent):
        compat.patch_mmcv_extension()
        operator = sys.modules["mmcv._ext"].deform_conv_forward
        with pytest.raises(
            NotImplementedError, match=r"'deform_conv_forward'.*mmcv-lite.*not need"
        ):
            operator(1, 2, key=3)

    def test_stand_in_has_no_private_attributes(self, absent):
        compat.patch_mmcv_extension()
        with pytest.raises(AttributeError, match="__file__"):
            _ = sys.modules["mmcv._ext"].__file__

    def test_environment_report_names_mmcv_lite(self, absent):
        compat.patch_mmcv_extension()
        assert "mmcv-lite" in sys.modules["mmcv._ext"].get_compiler_version()
        assert "mmcv-lite" in sys.modules["mmcv._ext"].get_compiling_cuda_version()

    def test_patching_twice_keeps_the_first_stand_in(self, absent):
        compat.patch_mmcv_extension()
        first = sys.modules["mmcv._ext"]
        compat.patch_mmcv_extension()
        assert sys.modules["mmcv._ext"] is first

    def test_leaves_a_loaded_extension(self, monkeypatch):
        compiled = types.ModuleType("mmcv._ext")
        monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
        compat.patch_mmcv_extension()
        assert sys.modules["mmcv._ext"] is compiled

    def test_leaves_a_loadable_extension(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
        spec = ModuleSpec("mmcv._ext", loader=None)
        monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: spec)
        compat.patch_mmcv_extension()
        assert "mmcv._ext" not in sys.modules

    def test_mmengine_still_sees_that_mmcv_is_not_full(self, absent, monkeypatch):
        from mmengine.utils.dl_utils import misc, mmcv_full_available

        if not hasattr(misc, "pkgutil"):
            pytest.skip("this fork of MMEngine takes any module for the compiled one")
        compat.patch_mmcv_extension()
        monkeypatch.undo()
        assert not mmcv_full_available()


class TestLoaderSearch:
    @pytest.fixture
    def modules(self, monkeypatch):
        """Return the two modules that search, on a Python without the function they call."""
        from mmcv.utils import ext_loader
        from mmengine.utils.dl_utils import misc

        if not hasattr(misc, "pkgutil"):
            pytest.skip("this fork of MMEngine does not call the function")
        monkeypatch.delattr(pkgutil, "find_loader", raising=False)
        for module in (misc, ext_loader):
            monkeypatch.setattr(module, "pkgutil", pkgutil)
        return misc, ext_loader

    def test_full_mmcv_and_its_absence_are_recognised(self, modules, monkeypatch):
        misc, ext_loader = modules
        with pytest.raises(AttributeError, match="find_loader"):
            misc.mmcv_full_available()
        assert compat.patch_loader_search()
        found = ModuleSpec("mmcv._ext", loader=object())
        for spec, full in ((None, False), (ModuleSpec("mmcv._ext", None), False), (found, True)):
            monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name, spec=spec: spec)
            assert misc.mmcv_full_available() == ext_loader.check_ops_exist() == full
        assert not hasattr(pkgutil, "find_loader")

    def test_leaves_modules_alone_if_the_function_exists(self, modules, monkeypatch):
        monkeypatch.setattr(pkgutil, "find_loader", len, raising=False)
        assert not compat.patch_loader_search()
        assert all(module.pkgutil is pkgutil for module in modules)


class TestOpenCV:
    @pytest.mark.parametrize(
        ("error", "said"),
        [
            ("ImportError('libGL.so.1: cannot open')", "libGL.so.1: cannot open). .*headless"),
            ("ModuleNotFoundError('no cv2')", "nothing"),
        ],
    )
    def test_missing_system_library_is_explained(self, tmp_path, error, said):
        (tmp_path / "cv2.py").write_text(f"raise {error}")
        printed = run_python(
            f"""
            exec({LOAD_COMPAT!r})
            try:
                compat.require_opencv()
                print("nothing")
            except ImportError as error:
                print(error)
            """,
            tmp_path,
        )
        assert re.search(said.replace(")", r"\)"), printed)


class TestPackageLookup:
    def test_mmengine_uses_the_substitutes(self):
        from mmengine.config import config
        from mmengine.utils import package_utils

        for module in (package_utils, config):
            assert module.is_installed is package_lookup.is_installed
            assert module.get_installed_path is package_lookup.get_installed_path

    def test_replaces_the_function_where_it_was_imported(self, monkeypatch):
        def original():
            pass

        def substitute():
            pass

        importer = types.ModuleType("mmdet.importer")
        importer.lookup, importer.other = original, len
        stranger = types.ModuleType("stranger")
        stranger.lookup = original
        monkeypatch.setitem(sys.modules, "mmdet.importer", importer)
        monkeypatch.setitem(sys.modules, "stranger", stranger)
        compat.replace_everywhere(original, substitute)
        assert importer.lookup is substitute
        assert importer.other is len
        assert stranger.lookup is original


class TestEnvironmentReport:
    def test_runs_without_distutils(self):
        output = run_python(
            LOAD_COMPAT
            + textwrap.dedent(
                """
                sys.modules.update(distutils=None, torchvision=None, cv2=None)
                from mmengine.utils.dl_utils import collect_env as broken
                try:
                    broken()
                except ModuleNotFoundError as error:
                    print("broken:", error.name)
                compat.patch_environment_report()
                from mmengine.utils.dl_utils import collect_env
                print("patched:", {"CUDA available", "GCC"} <= {*collect_env()})
                print("distutils" in sys.modules)
                """
            )
        )
        assert "broken: distutils" in output
        assert "patched: True" in output
        assert output.endswith("False\n")

    def test_leaves_the_report_if_distutils_exists(self, monkeypatch):
        spec = ModuleSpec("distutils", loader=None)
        monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: spec)
        monkeypatch.setattr(compat, "replace_everywhere", lambda *_: pytest.fail("replaced"))
        compat.patch_environment_report()


class TestScope:
    @pytest.fixture
    def demo(self, site, monkeypatch):
        """Config folder under ``.mim`` of a package, as in OpenMMLab's wheels."""
        from mmengine.config.utils import MODULE2PACKAGE

        package = make_package(site / "demo_scope")
        configs = package / ".mim" / "configs" / "textrecog"
        configs.mkdir(parents=True)
        (package / ".mim" / "model-index.yml").write_text("Import: []\n")
        (configs / "base.py").write_text("answer = dict(value=42)\n")
        monkeypatch.setitem(MODULE2PACKAGE, "demo_scope", "demo-scope")
        return configs

    def test_config_is_loaded_from_another_package(self, demo):
        from mmengine.config import Config

        config = Config.fromfile("demo_scope::textrecog/base.py")
        assert config.answer.value == 42
        assert Path(config.filename) == demo / "base.py"

    def test_base_is_loaded_from_another_package(self, demo, tmp_path):
        from mmengine.config import Config

        leaf = tmp_path / "leaf.py"
        leaf.write_text("_base_ = ['demo_scope::textrecog/base.py']\nown = 1\n")
        config = Config.fromfile(leaf)
        assert (config.answer.value, config.own) == (42, 1)

    def test_ordinary_path_is_left_alone(self, tmp_path):
        from mmengine.config import Config

        (tmp_path / "plain.py").write_text("value = 3\n")
        assert Config.fromfile(str(tmp_path / "plain.py")).value == 3

    def test_unknown_scope_is_refused(self):
        from mmengine.config import Config

        with pytest.raises(AssertionError, match="no_such_scope"):
            Config.fromfile("no_such_scope::textrecog/base.py")

    def test_scope_finds_mmocrs_modules(self):
        from mmengine.registry import TRANSFORMS

        transform = TRANSFORMS.build(dict(type="LoadOCRAnnotations", _scope_="lpv_mmocr"))
        assert type(transform).__module__.startswith("mmocr.")


class TestImport:
    def test_missing_package_is_named_with_the_command(self, monkeypatch):
        monkeypatch.setattr(
            compat.importlib.util, "find_spec", lambda name: None if name == "mmcv" else object()
        )
        with pytest.raises(ModuleNotFoundError, match=r"needs mmcv.*lpv-mmocr\[lite\]"):
            compat.require_openmmlab()

    @pytest.mark.slow
    def test_everything_registers_even_after_mmocr_failed(self):
        output = run_python(
            """
            import mmocr
            try:
                import mmocr.models  # fails under mmcv-lite
            except ModuleNotFoundError as error:
                assert error.name == "mmcv._ext"
            import lpv_mmocr
            import mmocr.apis, mmocr.datasets, mmocr.engine, mmocr.evaluation, mmocr.visualization
            from mmocr.registry import MODELS
            from mmocr.utils import register_all_modules
            register_all_modules()
            print([name in MODELS for name in ("LPV", "ABINet", "DBNet", "SDMGR")])
            """
        )
        assert "[True, True, True, True]" in output


class TestRegistryLookup:
    @pytest.mark.parametrize("name", ["Brought_along", "mmdet.Brought_along"])
    def test_single_word_is_not_imported(self, monkeypatch, tmp_path, name):
        (tmp_path / "Brought_along.py").write_text("raise SystemExit('it ran')")
        monkeypatch.syspath_prepend(tmp_path)
        assert MODELS.get(name) is None

    def test_dotted_paths_are_still_imported(self):
        assert MODELS.get("torch.nn.ReLU") is torch.nn.ReLU
