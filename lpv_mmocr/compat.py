"""Patches that let MMOCR 1.0.1 run on today's Python, NumPy and PyTorch.

MMOCR 1.0.1 is its last release, and it requires MMDetection < 3.2, which requires MMCV < 2.1; what
breaks these on newer versions of their dependencies will not be fixed upstream. Every ``patch_*``
function below patches one such break. Each first checks whether its break is present and leaves a
working installation alone, so a full MMCV, a working torchvision, an old NumPy or an old setuptools
stay exactly as they are.

``import lpv_mmocr`` calls :func:`apply`; nothing else is needed. A script that imports MMOCR
itself must import ``lpv_mmocr`` before ``mmocr.models``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import pkgutil
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

PACKAGE = "lpv_mmocr"
DISTRIBUTION = "lpv-mmocr"


@functools.cache
def apply() -> tuple[str, ...]:
    """Patch everything that is broken; calling it again changes nothing.

    Returns:
        Descriptions of what was broken.

    Raises:
        ModuleNotFoundError: If MMEngine, MMCV, MMDetection or MMOCR is not installed.
        ImportError: If OpenCV is installed, but cannot be loaded.
    """
    from . import registry_lookup  # not above: this file can be loaded on its own

    require_openmmlab()
    require_opencv()
    patches = {
        "NumPy: removed names": patch_numpy_names,
        "torchvision: operators that do not match this torch": patch_torchvision_operators,
        "MMCV: no compiled operators": patch_mmcv_extension,
        "MMCV, MMEngine: search for compiled operators": patch_loader_search,
        "MMEngine: environment report": patch_environment_report,
    }
    broken = tuple(what for what, patch in patches.items() if patch())
    patch_package_lookup()
    registry_lookup.patch_registry_lookup()
    register_scope()
    return broken


def require_openmmlab() -> None:
    """Check that the four OpenMMLab packages can be found.

    The wheel cannot depend on "MMCV or mmcv-lite": package metadata cannot express alternatives. A
    plain installation may therefore lack all of them, and the error has to name the command that
    installs them.

    Raises:
        ModuleNotFoundError: If one is missing; the message names it and the command.
    """
    for name in ("mmengine", "mmcv", "mmdet", "mmocr"):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(
                f"lpv_mmocr needs {name}, which is not installed. "
                f"`pip install '{DISTRIBUTION}[lite]'` installs a stack that needs no compiler.",
                name=name,
            )


def require_opencv() -> None:
    """Check that OpenCV can be loaded if it is installed.

    Raises:
        ImportError: If it lacks a system library; the message says what to do.
    """
    try:
        import cv2  # noqa: F401
    except ModuleNotFoundError:
        pass  # the import that needs it reports that
    except ImportError as error:
        raise ImportError(
            f"OpenCV cannot be loaded ({error}). If libGL is missing, as on servers and in "
            "containers, use its headless build: pip install --force-reinstall --no-deps "
            "opencv-python-headless"
        ) from error


# --- NumPy ------------------------------------------------------------------------------------


def patch_numpy_names() -> bool:
    """Restore ``np.sctypes``, ``np.int0`` and ``np.bool`` where NumPy lacks them.

    NumPy 2.0 removed the first two; NumPy 1.24 to 1.26 lack the third, which 2.0 brought back with
    the meaning given here. imgaug 0.4.0 reads ``np.sctypes`` on import, and ``np.bool`` in its
    ``SomeOf`` and its polygons; two files of MMOCR's text detection call ``np.int0``.

    Returns:
        Whether a name was missing; the functions below return whether they patched anything.
    """
    import numpy as np

    def by_kind(*names: str) -> list[type]:
        return [getattr(np, name) for name in names]

    substitutes = {
        "int0": np.intp,
        "bool": np.bool_,
        "sctypes": {
            "int": by_kind("int8", "int16", "int32", "int64"),
            "uint": by_kind("uint8", "uint16", "uint32", "uint64"),
            "float": by_kind("float16", "float32", "float64", "longdouble"),
            "complex": by_kind("complex64", "complex128", "clongdouble"),
            "others": [bool, object, bytes, str, np.void],
        },
    }
    with warnings.catch_warnings():
        # NumPy warns of its expired names on mere access.
        warnings.simplefilter("ignore")
        missing = [name for name in substitutes if not hasattr(np, name)]
    for name in missing:
        setattr(np, name, substitutes[name])
    return bool(missing)


# --- torchvision ------------------------------------------------------------------------------

_OPERATOR_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A Library removes its definitions when it is collected.
_OPERATOR_LIBRARIES: list[Any] = []


def patch_torchvision_operators() -> bool:
    """Make torchvision importable when its compiled operators do not match the installed torch.

    Seen with a CPU build of torch 2.13.0 and a CUDA build of torchvision 0.28.0 (which a package
    index serves when only torch is pinned to a CPU build). torchvision tolerates the lack of its
    compiled library, but still attaches shape functions to the operators ``nms`` and ``qnms`` and
    stops with "operator torchvision::nms does not exist". Declaring the two schemas lets the
    import pass. Calling the operators still fails with torchvision's own message; recognition
    never calls them.

    The schemas are declared only after an import has failed in this way, because declaring them
    next to a working library would itself be an error.
    """
    missing = "operator torchvision::nms does not exist"
    try:
        import torchvision
    except ModuleNotFoundError:
        return False  # absent, not broken: MMDetection names it in its own error
    except RuntimeError as error:
        if missing not in str(error):
            raise
    else:
        del torchvision
        return False

    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _OPERATOR_SCHEMAS:
        library.define(schema)
    _OPERATOR_LIBRARIES.append(library)
    importlib.import_module("torchvision")
    return True


# --- MMCV -------------------------------------------------------------------------------------


class StandInExtension(types.ModuleType):
    """Stand-in for the module of MMCV's compiled operators, each of which raises when called.

    Every attribute without a leading underscore exists, as ``mmcv.ops`` looks up its operators by
    name when it is imported.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, doc="Stand-in for the compiled operators that mmcv-lite leaves out.")
        # Without a loader in the spec, mmengine's `mmcv_full_available` correctly returns False.
        self.__spec__ = ModuleSpec(name, loader=None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return an operator that raises when it is called."""
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

        def operator(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(
                f"The operator {name!r} is compiled code of the full MMCV, but this environment "
                "has mmcv-lite. Text recognition does not need it. For models that do (mostly "
                "detectors), replace mmcv-lite with a full mmcv>=2.0.0rc4,<2.1.0: "
                "https://mmcv.readthedocs.io/en/2.x/get_started/installation.html"
            )

        operator.__name__ = operator.__qualname__ = name
        return operator

    @staticmethod
    def get_compiler_version() -> str:
        """Return a placeholder for MMCV's environment report."""
        return "n/a (mmcv-lite)"

    @staticmethod
    def get_compiling_cuda_version() -> str:
        """Return a placeholder for MMCV's environment report."""
        return "n/a (mmcv-lite)"


def patch_mmcv_extension() -> bool:
    """Use a :class:`StandInExtension` as ``mmcv._ext`` under mmcv-lite.

    ``mmcv.ops`` imports its compiled operators immediately, and MMDetection and ``mmocr.models``
    import ``mmcv.ops``. The full MMCV 2.0.x does not compile with torch 2.1 or newer, while
    mmcv-lite lacks only these operators. A full MMCV is left alone, even one whose library fails
    to load: its own error is the relevant one.
    """
    name = "mmcv._ext"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return False
    sys.modules[name] = StandInExtension(name)
    return True


def patch_loader_search() -> bool:
    """Let MMEngine and MMCV find out whether MMCV's compiled operators are installed.

    Both call ``pkgutil.find_loader``, which Python 3.14 removed; MMEngine when it builds an
    inferencer, for example. Only these two modules get a substitute, since other libraries change
    their behaviour if :mod:`pkgutil` has the function.
    """
    if hasattr(pkgutil, "find_loader"):
        return False
    from mmcv.utils import ext_loader
    from mmengine.utils.dl_utils import misc

    for module in (misc, ext_loader):
        module.pkgutil = types.SimpleNamespace(find_loader=_find_loader)
    return True


def _find_loader(name: str) -> Any:
    spec = importlib.util.find_spec(name)
    return None if spec is None else spec.loader


# --- MMEngine ---------------------------------------------------------------------------------


def patch_package_lookup() -> None:
    """Let MMEngine find installed packages without ``pkg_resources``.

    ``mmengine.utils.is_installed`` and ``get_installed_path`` (behind ``mmdet::…`` paths,
    ``mmengine.hub`` and the registries) import ``pkg_resources``. setuptools no longer ships it
    (seen with 84), and environments of Python 3.12 and newer start without setuptools.
    :mod:`importlib.metadata` and the import system answer the same questions. The import system
    also finds editable installations and checkouts, which ``pkg_resources`` does not.

    The functions are replaced instead of faking ``pkg_resources``, since other libraries change
    their behaviour if they can import that.
    """
    from mmengine.utils import package_utils

    from .package_lookup import get_installed_path, is_installed

    for substitute in (is_installed, get_installed_path):
        replace_everywhere(getattr(package_utils, substitute.__name__), substitute)


def patch_environment_report() -> bool:
    """Let ``mmengine.utils.dl_utils.collect_env`` run without ``distutils``.

    Python 3.12 removed ``distutils``; only setuptools, which new environments no longer include,
    still provides it. MMEngine's report, printed at the start of every training run, imports
    ``distutils.errors`` for the name of one exception. The name exists only while the report runs,
    since other libraries change their behaviour if they can import ``distutils``.
    """
    if importlib.util.find_spec("distutils") is not None:
        return False
    from mmengine.utils.dl_utils import collect_env

    @functools.wraps(collect_env)
    def collect_env_without_distutils() -> dict:
        with _distutils_errors():
            return collect_env()

    replace_everywhere(collect_env, collect_env_without_distutils)
    return True


@contextlib.contextmanager
def _distutils_errors() -> Iterator[None]:
    package = types.ModuleType("distutils")
    package.__path__ = []
    package.errors = types.ModuleType("distutils.errors")
    package.errors.DistutilsPlatformError = type("DistutilsPlatformError", (Exception,), {})
    names = {"distutils": package, "distutils.errors": package.errors}
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def register_scope() -> None:
    """Register the scope ``lpv_mmocr``, as in ``lpv_mmocr::textrecog/lpv/….py``, with MMEngine.

    MMEngine (all versions) resolves such paths only for the packages in its own table, and only
    where a config names its ``_base_``. This function adds this package to the table, and lets
    ``Config.fromfile`` (and so every tool that takes the path of a config) accept such a path of
    any package. The configs are in ``lpv_mmocr/.mim``.
    """
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE[PACKAGE] = DISTRIBUTION
    from_path = Config.fromfile

    @functools.wraps(from_path)
    def from_path_or_scope(filename: Any, *args: Any, **kwargs: Any) -> Config:
        if isinstance(filename, str) and "::" in filename:
            filename, _ = Config._get_cfg_path(filename, "")
        return from_path(filename, *args, **kwargs)

    Config.fromfile = staticmethod(from_path_or_scope)


def replace_everywhere(original: Callable, substitute: Callable) -> None:
    """Rebind a function in every loaded OpenMMLab module that has imported it by name."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("mmengine", "mmcv", "mmdet", "mmocr"):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, substitute)
