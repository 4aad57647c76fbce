"""Unpickler that reads the checkpoints written by MMEngine, and nothing else.

MMEngine stores its log buffers (:class:`mmengine.logging.HistoryBuffer`) as objects. Their pickle
names NumPy's constructors and fetches the buffer's own methods through ``builtins.getattr``; with
that function allowed in general, a file could reach any function of any allowed module. This
unpickler therefore never resolves these names to the real objects. It returns its own substitutes,
each of which does one harmless thing:

- ``getattr`` accepts the four methods of a ``HistoryBuffer`` and refuses everything else;
- NumPy's constructors accept numbers and strings, never Python objects, structured types or flags
  from the file;
- object state can be set only for the three types that need it, and for the ``_metadata`` of a
  state dict.

Names that PyTorch itself needs (tensors, parameters, devices, data types) resolve to the originals.
"""

from __future__ import annotations

import pickle
import re
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_HISTORY_METHODS = ("min", "max", "current", "mean")
_PLAIN_DTYPE = re.compile(r"[biufcSU][0-9]+")
_BYTE_ORDERS = ("<", ">", "=", "|")


class RefusedPickleError(pickle.UnpicklingError):
    """A pickle asks for something that no checkpoint needs.

    Attributes:
        what: Name or description of what it asks for, such as ``"os.system"``.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"refused to provide {what}")
        self.what = what


class _Pending:
    """Object that a pickle has created but whose state it has not set yet."""

    def finished(self, state: Any) -> Any:
        """Build the real object from the state in the pickle."""
        raise NotImplementedError


class _PendingDtype(_Pending):
    """Substitute for ``numpy.dtype``: a fixed-size number, Boolean or string."""

    def __init__(self, name: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name):
            raise RefusedPickleError(f"a NumPy data type {name!r}")
        self._name = name

    def finished(self, state: tuple) -> np.dtype:
        # (version, byte order, subarray, names, fields, size, alignment, flags): a plain type has
        # no subarray, names or fields, and the last three follow from its name. Other values for
        # these could make NumPy read bytes as pointers.
        byte_order, *compound = state[1:5]
        if byte_order not in _BYTE_ORDERS or any(part is not None for part in compound):
            raise RefusedPickleError("a compound NumPy data type")
        return np.dtype(self._name).newbyteorder(byte_order)


class _PendingArray(_Pending):
    """Substitute for ``numpy.ndarray``."""

    def finished(self, state: tuple) -> np.ndarray:
        _version, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, np.dtype) or not isinstance(content, bytes):
            raise RefusedPickleError("a NumPy array of Python objects")
        order = "F" if is_fortran else "C"
        return np.ndarray(shape, dtype, buffer=content, order=order).copy(order)


class _PendingHistory(_Pending):
    """Substitute for :class:`mmengine.logging.HistoryBuffer`."""

    def finished(self, state: dict) -> HistoryBuffer:
        return HistoryBuffer(
            log_history=np.asarray(state["_log_history"]),
            count_history=np.asarray(state["_count_history"]),
            max_length=int(state["max_length"]),
        )


def _new_array(subtype: Any, shape: Any, type_code: Any) -> _PendingArray:
    """Substitute for ``numpy.core.multiarray._reconstruct``."""
    if subtype is not _PendingArray:
        raise RefusedPickleError("a subclass of NumPy's array")
    return _PendingArray()


def _number(dtype: Any, content: Any) -> int | float | complex | bool | str | bytes:
    """Substitute for ``numpy.core.multiarray.scalar``; returns the Python value."""
    if not isinstance(dtype, np.dtype) or not isinstance(content, bytes):
        raise RefusedPickleError("a NumPy scalar that holds a Python object")
    return np.ndarray((), dtype, buffer=content).item()


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Substitute for ``_codecs.encode``, with which pickle protocol 2 stores bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickleError(f"_codecs.encode with {encoding!r}")
    return text.encode("latin-1")


def _empty_bytes() -> bytes:
    """Substitute for ``bytes``, with which pickle protocol 2 stores empty bytes."""
    return b""


def _history_method(owner: Any, name: Any) -> None:
    """Substitute for ``builtins.getattr``: ignore the buffer's methods, refuse all else."""
    if owner is not _PendingHistory or name not in _HISTORY_METHODS:
        raise RefusedPickleError(f"builtins.getattr(…, {name!r})")


def _allowed_globals() -> dict[str, Any]:
    allowed: dict[str, Any] = {
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor": torch._utils._rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
        "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
        "torch.Size": torch.Size,
        "torch.device": torch.device,
        "_codecs.encode": _latin1_bytes,
        "numpy.dtype": _PendingDtype,
        "numpy.ndarray": _PendingArray,
        "mmengine.logging.history_buffer.HistoryBuffer": _PendingHistory,
    }
    for builtins in ("builtins", "__builtin__"):  # Python 3; pickle protocol 2
        allowed[f"{builtins}.getattr"] = _history_method
        allowed[f"{builtins}.bytes"] = _empty_bytes
        allowed[f"{builtins}.set"] = set
        allowed[f"{builtins}.complex"] = complex
    for multiarray in ("numpy.core.multiarray", "numpy._core.multiarray"):  # NumPy 1 and 2
        allowed[f"{multiarray}._reconstruct"] = _new_array
        allowed[f"{multiarray}.scalar"] = _number
    for value in vars(torch).values():
        if isinstance(value, torch.dtype):
            allowed[str(value)] = value
    return allowed


_ALLOWED_GLOBALS = _allowed_globals()


class RestrictedUnpickler(pickle._Unpickler):
    """Unpickler that accepts the names in an allow-list and refuses all others.

    It derives from the unpickler written in Python, since the one written in C does not let a
    subclass decide which objects may have their state set. It is slower, but only used for files
    that ``weights_only=True`` rejects, such as MMEngine's own.

    Raises:
        RefusedPickleError: From :meth:`load`, if the pickle asks for anything else.
    """

    def __init__(self, file: BinaryIO, **kwargs: Any) -> None:
        super().__init__(file, **kwargs)

        def whole_line() -> bytes:
            line = file.readline()
            if not line.endswith(b"\n"):
                # Otherwise a file truncated within a name would be reported as unsafe.
                raise EOFError("the pickle ends within a line")
            return line

        self._file_readline = whole_line

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a global name in the pickle."""
        try:
            return _ALLOWED_GLOBALS[f"{module}.{name}"]
        except KeyError:
            raise RefusedPickleError(f"{module}.{name}") from None

    def load_build(self) -> None:
        """Set an object's state (the pickle instruction BUILD)."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _Pending):
            self._replace(target, target.finished(state))
        elif type(target) is OrderedDict and set(state) <= {"_metadata"}:
            vars(target).update(state)
        else:
            raise RefusedPickleError(f"setting the state of {target!r}")

    def _replace(self, pending: _Pending, finished: Any) -> None:
        """Replace a pending object with the finished one, on the stack and in the memo."""
        self.stack[-1] = finished
        for key, value in self.memo.items():
            if value is pending:
                self.memo[key] = finished

    dispatch: dict[int, Callable] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def _load(file: BinaryIO, **kwargs: Any) -> Any:
    return RestrictedUnpickler(file, **kwargs).load()


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise RefusedPickleError("unpickling from memory")


restricted_pickle = types.SimpleNamespace(
    __name__="restricted_pickle",
    Unpickler=RestrictedUnpickler,
    UnpicklingError=pickle.UnpicklingError,
    load=_load,
    loads=_refuse,
)
"""Stand-in for the pickle module, to pass to :func:`torch.load` as ``pickle_module``."""
