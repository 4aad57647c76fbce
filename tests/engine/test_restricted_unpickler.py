"""Tests of the restricted unpickler alone: ``weights_only=True`` must not be the only guard."""

from __future__ import annotations

import io
import pickle

from lpv_mmocr.engine.restricted_unpickler import RefusedPickleError, RestrictedUnpickler

import numpy as np
import pytest
from hostile_pickles import Evaluates, LoadsFromBytes, RunsCommand


class TestNumpy:
    def test_names_of_both_numpy_versions_are_accepted(self):
        content = pickle.dumps(np.float64(1.5), protocol=2)
        ours, theirs = (
            (b"numpy._core.multiarray", b"numpy.core.multiarray")
            if b"_core" in content
            else (b"numpy.core.multiarray", b"numpy._core.multiarray")
        )
        for stream in (content, content.replace(ours, theirs)):
            assert RestrictedUnpickler(io.BytesIO(stream)).load() == 1.5

    @pytest.mark.parametrize(
        "array",
        [
            np.empty((0, 3), np.float32),
            np.array(2.5),
            np.arange(4, dtype=">i2"),
            np.array([True, False]),
            np.array(["ab", "c"]),
        ],
        ids=["empty", "scalar", "big-endian", "bool", "text"],
    )
    def test_arrays_are_loaded(self, array):
        loaded = RestrictedUnpickler(io.BytesIO(pickle.dumps(array, protocol=2))).load()
        assert loaded.dtype == array.dtype
        assert np.array_equal(loaded, array)
        assert loaded.flags.writeable


class TestRefusals:
    def test_code_is_refused_in_every_protocol(self, tmp_path):
        marker = tmp_path / "code-was-run"
        for hostile in (RunsCommand(f"touch {marker}"), Evaluates(marker), LoadsFromBytes(marker)):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                stream = io.BytesIO(pickle.dumps(hostile, protocol=protocol))
                with pytest.raises(RefusedPickleError):
                    RestrictedUnpickler(stream).load()
        assert not marker.exists()

    def test_getattr_on_modules_is_refused(self):
        # A module cannot be pickled, so the stream is written by hand: getattr(torch, "load").
        stream = b"c__builtin__\ngetattr\n(ctorch\nload\nVx\ntR."
        with pytest.raises(RefusedPickleError, match=r"torch\.load"):
            RestrictedUnpickler(io.BytesIO(stream)).load()

    def test_setting_the_state_of_an_allowed_function_is_refused(self):
        # BUILD on a global would change that global for the whole process.
        stream = b"ctorch._utils\n_rebuild_tensor_v2\n}V__defaults__\nNsb."
        with pytest.raises(RefusedPickleError, match="setting the state"):
            RestrictedUnpickler(io.BytesIO(stream)).load()

    def test_setting_attributes_of_a_dictionary_is_refused(self):
        stream = b"ccollections\nOrderedDict\n(tR}Vitems\nNsb."
        with pytest.raises(RefusedPickleError, match="setting the state"):
            RestrictedUnpickler(io.BytesIO(stream)).load()

    @pytest.mark.parametrize("name", ["O8", "f8,O", "V8"])
    def test_data_types_of_more_than_numbers_are_refused(self, name):
        stream = f"cnumpy\ndtype\n(V{name}\ntR.".encode()
        with pytest.raises(RefusedPickleError, match=f"a NumPy data type '{name}'"):
            RestrictedUnpickler(io.BytesIO(stream)).load()

    def test_forged_state_of_a_data_type_is_refused(self):
        # numpy.dtype("f8"), then a state with the field names of a structure.
        forged = b"cnumpy\ndtype\n(Vf8\ntR(I3\nV<\nN(Va\ntNI8\nI1\nI0\ntb."
        with pytest.raises(RefusedPickleError, match="compound"):
            RestrictedUnpickler(io.BytesIO(forged)).load()
