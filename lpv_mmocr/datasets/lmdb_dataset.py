"""MMOCR dataset of the words of one LMDB or a tree of LMDBs."""

from __future__ import annotations

import bisect
import copy
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset, force_full_init
from mmocr.registry import DATASETS

from .bad_samples import BadSampleError, BadSampleLog
from .label_filter import LabelFilter
from .lmdb_environment import (
    KeyReader,
    LMDBDataError,
    count_samples,
    image_key,
)
from .lmdb_folders import find_lmdbs, refuse_repeated
from .lmdb_index import SampleIndex, load_index
from .sample_choice import checked_hold_out, checked_indices, hold_out_advice
from .transforms.loading import decode_image
from .transforms.word_image import placeholder_image
from .uncounted_samples import warn_of_uncounted


class _Part(NamedTuple):
    """Samples of one LMDB that a dataset uses."""

    path: str
    name: str
    numbers: SampleIndex | range


@DATASETS.register_module()
class LPVLMDBDataset(BaseDataset):
    """Word images and labels in the key format shared by LPV, PARSeq and CLOVA.

    An LMDB holds ``num-samples``, and ``image-%09d`` and ``label-%09d`` counted from 1. Nothing is
    kept in memory: samples that pass the label filter are found through a memory-mapped index, and
    environments are opened at the first read of each process. With ``test_mode=True`` nothing is
    filtered and labels stay unchanged.

    Each sample enters the pipeline as a dict with

    - ``img``: the decoded image, BGR, uint8, shape (height, width, 3), for
      ``LoadImageFromNDArray``, and its ``img_shape`` and ``ori_shape``,
    - ``instances``: ``[dict(text=...)]``, for ``LoadOCRAnnotations``,
    - ``sample_key``: the sample's name, such as ``MJ/MJ_train:image-000000012``, for logs and
      predictions,
    - ``img_path``: the folder of its LMDB and its key,
    - ``sample_idx``: its position in the dataset,
    - ``bad_sample``: whether it could not be read (see below).

    A bad sample (a missing key, a damaged page, an empty or undecodable image, a label that is not
    UTF-8) is counted and logged once. In training, it is replaced by another sample, always the
    same one. In evaluation it stays, as a grey image with ``bad_sample=True``: a metric must count
    it as wrong whatever the model reads. For that, ``PackTextRecogInputs`` needs ``sample_key`` and
    ``bad_sample`` among its ``meta_keys``.

    Args:
        ann_file: An LMDB folder, a folder with a tree of LMDBs, or a list of such folders, relative
            to ``data_root`` unless absolute.
        data_root: Folder that ``ann_file`` is relative to.
        label_filter: A :class:`LabelFilter`, or a dict of the options that differ from the released
            filter. Ignored in test mode.
        indices: Samples to use: the first n, the last n (as ``-n``), or the given ones; ``None``
            for all. Unlike in MMEngine, these count all samples, before any filter, so that
            ``indices=9000`` for training and ``indices=-1000`` for evaluation share no word of
            10,000.
        hold_out: Number n of samples to leave out at the end, also counted before any filter: those
            that another dataset uses with ``indices=-n``. ``indices`` of this dataset then counts
            only the remaining samples.
        pipeline: Transforms or their configs, as in MMEngine.
        test_mode: Whether the dataset is for evaluation.
        metainfo: Additional meta information of the dataset.
        lazy_init: Whether to defer finding the samples until they are needed.
        max_refetch: Maximum number of consecutive samples that may be bad, or refused by the
            pipeline, in training.

    Raises:
        FileNotFoundError: If a folder does not exist or holds no LMDB.
        LMDBDataError: If an LMDB is damaged or not a word dataset.
        TypeError: If ``label_filter`` has an option that does not exist.
        ValueError: If no sample is left, ``hold_out`` or ``indices`` is not an integer (or list of
            integers) or exceeds the samples, an LMDB occurs twice, ``ann_file`` names no folder,
            an option of ``label_filter`` is wrong, or the pipeline loads files.
    """

    METAINFO = dict(dataset_type="LPVLMDBDataset", task_name="textrecog")

    def __init__(
        self,
        *,
        ann_file: str | os.PathLike | Sequence[str] = "",
        data_root: str = "",
        label_filter: LabelFilter | Mapping | None = None,
        indices: int | Sequence[int] | None = None,
        hold_out: int = 0,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        metainfo: Mapping | None = None,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        _refuse_files(pipeline)
        ann_file = os.fspath(ann_file) if isinstance(ann_file, os.PathLike) else ann_file
        self.label_filter = LabelFilter.from_config(label_filter)
        self.hold_out = checked_hold_out(hold_out)
        self.bad_samples = BadSampleLog()
        self._parts: list[_Part] = []
        self._ends: list[int] = []
        self._selection: np.ndarray | None = None
        self._length = 0
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix={},
            indices=checked_indices(indices),
            serialize_data=False,
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )

    def _join_prefix(self) -> None:
        """Resolve the folders; MMEngine's constructor calls this to join paths."""
        folders = [self.ann_file] if isinstance(self.ann_file, str) else list(self.ann_file)
        if not folders or (not self.data_root and "" in folders):
            raise ValueError("ann_file names no LMDB folder")
        self._folders = [
            os.path.normpath(os.path.join(self.data_root or "", folder)) for folder in folders
        ]

    # Finding the samples.

    def full_init(self) -> None:
        """Find the LMDBs and the samples to use, and build missing indexes."""
        if self._fully_initialized:
            return
        named = self._named_lmdbs()
        counts = [count_samples(path) for path, _ in named]
        for (path, _), count in zip(named, counts, strict=True):
            warn_of_uncounted(path, count)
        total = sum(counts) - self.hold_out
        if total <= 0:
            raise ValueError(
                f"hold_out={self.hold_out} leaves nothing of the {sum(counts)} samples of "
                f"{', '.join(self._folders)}; {hold_out_advice(sum(counts))}"
            )
        first, last = self._interval(total)
        ends = list(accumulate(counts))
        self._parts = []
        for (path, name), count, end in zip(named, counts, ends, strict=True):
            # The interval counts through all LMDBs; these are the sample numbers in this one.
            low = min(max(first - (end - count), 0), count) + 1
            high = min(max(last - (end - count), 0), count) + 1
            if low == high:
                continue
            if self.test_mode or not self.label_filter.rejects_samples:
                numbers = range(low, high)
            else:
                numbers = load_index(path, self.label_filter).between(low, high)
            self._parts.append(_Part(os.path.abspath(path), name, numbers))
        self._ends = list(accumulate(len(part.numbers) for part in self._parts))
        self._length = self._ends[-1] if self._ends else 0
        if self._indices is not None and not isinstance(self._indices, int):
            self._selection = self._positions_of(self._indices, counts, total)
            self._length = len(self._selection)
        if self._length == 0:
            raise ValueError(
                f"No sample of {', '.join(self._folders)} is left: {total} before the label filter "
                f"({self.label_filter}) and indices={self._indices!r}"
            )
        self._fully_initialized = True

    def _named_lmdbs(self) -> list[tuple[str, str]]:
        """Return path and name of every LMDB; names begin with the folder given in ``ann_file``."""
        named = [
            (path, os.path.relpath(path, os.path.dirname(os.path.abspath(folder))))
            for folder in self._folders
            for path in _lmdbs_of_config(folder)
        ]
        refuse_repeated([path for path, _ in named])
        if len({name for _, name in named}) < len(named):  # equal names in different places
            named = [(path, path) for path, _ in named]
        return named

    def _interval(self, total: int) -> tuple[int, int]:
        """Return the range of samples that ``indices`` spans, counted from 0 before any filter."""
        if not isinstance(self._indices, int):
            return 0, total
        if abs(self._indices) > total:
            raise ValueError(
                f"indices={self._indices}, but there are only {total} samples in "
                f"{', '.join(self._folders)}; {hold_out_advice(total)}"
            )
        return (0, self._indices) if self._indices >= 0 else (total + self._indices, total)

    def _positions_of(
        self, indices: Sequence[int], counts: Sequence[int], total: int
    ) -> np.ndarray:
        """Return the int64 positions of the wanted samples that pass, in the given order."""
        wanted = np.asarray(indices, dtype=np.int64)
        if len(wanted) and not -total <= wanted.min() <= wanted.max() < total:
            raise ValueError(
                f"indices reach from {wanted.min()} to {wanted.max()}, but there are only {total} "
                "samples"
            )
        starts = accumulate(counts[:-1], initial=0)
        passing = np.concatenate(
            [
                np.asarray(part.numbers, dtype=np.int64) - 1 + start
                # The last LMDBs may be held out completely, so that they have no part.
                for part, start in zip(self._parts, starts, strict=False)
            ]
        )
        wanted = wanted % total
        positions = np.searchsorted(passing, wanted)
        found = positions < len(passing)
        found[found] = passing[positions[found]] == wanted[found]
        return positions[found]

    def __len__(self) -> int:
        """Return the number of samples that pass the filter and ``indices``."""
        self.full_init()
        return self._length

    @force_full_init
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Reduce the dataset to some of its positions.

        Args:
            indices: The first n, the last n (as ``-n``), or the given positions.
        """
        selection = np.arange(len(self)) if self._selection is None else self._selection
        if isinstance(indices, int):
            self._selection = selection[:indices] if indices >= 0 else selection[indices:]
        else:
            self._selection = selection[np.asarray(indices, dtype=np.int64)]
        self._length = len(self._selection)

    @force_full_init
    def get_subset(self, indices: int | Sequence[int]) -> LPVLMDBDataset:
        """Return a copy of the dataset with some of its positions; see :meth:`get_subset_`."""
        subset = copy.copy(self)
        subset.pipeline = copy.deepcopy(self.pipeline)
        subset.bad_samples = BadSampleLog()
        subset.get_subset_(indices)
        return subset

    # Reading a sample.

    def get_data_info(self, idx: int) -> dict:
        """Read a sample as stored, without decoding its image.

        Args:
            idx: Position in the dataset.

        Returns:
            ``img_bytes`` (the encoded image), ``instances``, ``sample_key``, ``img_path``,
            ``sample_idx`` and ``bad_sample``, as described for the class.

        Raises:
            BadSampleError: If a key is missing or cannot be read, or the label is not UTF-8.
            IndexError: If there is no such position.
        """
        position = self._position(idx)
        part, number = self._locate(position)
        name = image_key(number).decode()
        sample_key = f"{part.name}:{name}"
        text = ""
        try:
            with KeyReader(part.path) as reader:
                text = reader.label(number)
                image = reader.image(number)
        except LMDBDataError as error:
            raise BadSampleError(sample_key, str(error), error.text or text) from error
        if not self.test_mode:
            text = self.label_filter(text)
        return dict(
            img_bytes=image,
            img_path=f"{part.path}/{name}",
            sample_key=sample_key,
            sample_idx=position,
            bad_sample=False,
            instances=[dict(text=text)],
        )

    def _position(self, idx: int) -> int:
        """Return the non-negative form of a position that may count from the end."""
        length = len(self)
        if not -length <= idx < length:
            raise IndexError(f"there is no sample {idx} in a dataset of {length}")
        return idx % length

    def _locate(self, position: int) -> tuple[_Part, int]:
        """Return the LMDB that holds a position, and the sample's number there."""
        if self._selection is not None:
            position = int(self._selection[position])
        index = bisect.bisect_right(self._ends, position)
        part = self._parts[index]
        return part, part.numbers[position - self._ends[index] + len(part.numbers)]

    def prepare_data(self, idx: int) -> dict | None:
        """Read and decode a sample and run it through the pipeline.

        Args:
            idx: Position in the dataset.

        Returns:
            Result of the pipeline; ``None`` for a bad sample in training.
        """
        idx = self._position(idx)
        try:
            results = self.get_data_info(idx)
            try:
                image = decode_image(results.pop("img_bytes"))
            except ValueError as error:
                text = results["instances"][0]["text"]
                raise BadSampleError(results["sample_key"], str(error), text) from error
        except BadSampleError as error:
            if not self.test_mode:
                self.bad_samples.report(idx, error, "is replaced by another")
                return None
            self.bad_samples.report(idx, error, "counts as wrong")
            results = self._placeholder(idx, error)
            image = results.pop("img")
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return self.pipeline(results)

    def _placeholder(self, idx: int, error: BadSampleError) -> dict:
        part, number = self._locate(idx)
        return dict(
            img=placeholder_image(),
            img_path=f"{part.path}/{image_key(number).decode()}",
            sample_key=error.sample_key,
            sample_idx=idx,
            bad_sample=True,
            instances=[dict(text=error.text)],
        )

    def __getitem__(self, idx: int) -> dict:
        """Return a sample as packed by the pipeline.

        Args:
            idx: Position in the dataset.

        Raises:
            RuntimeError: If the pipeline refuses a sample in evaluation, or too many samples in a
                row are bad or refused in training.
        """
        self.full_init()
        data = self.prepare_data(idx)
        if data is not None:
            return data
        if self.test_mode:
            raise RuntimeError(f"The test pipeline returned nothing for sample {idx}")
        # The replacement depends only on the replaced sample, so that runs agree whatever the
        # number of workers and wherever they were resumed.
        substitutes = np.random.default_rng(self._position(idx))
        for _ in range(self.max_refetch):
            data = self.prepare_data(int(substitutes.integers(len(self))))
            if data is not None:
                return data
        raise RuntimeError(
            f"{self.max_refetch + 1} samples of {', '.join(self._folders)} in a row were bad or "
            "refused by the pipeline; see the log for what is wrong with them"
        )


def _refuse_files(pipeline: Sequence[dict | Callable]) -> None:
    for step in pipeline:
        if isinstance(step, Mapping) and str(step.get("type")).endswith("LoadImageFromFile"):
            raise ValueError(
                "LPVLMDBDataset decodes images itself: begin its pipeline with "
                "LoadImageFromNDArray instead of LoadImageFromFile"
            )


def _lmdbs_of_config(folder: str) -> list[str]:
    """Return the LMDBs below a folder; if there are none, the error says which settings name it."""
    try:
        return find_lmdbs(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. The folder is set by data_root and ann_file in the config; the configs of "
            "this package take them from LPV_DATA_ROOT and LPV_DATA_TREE, or LPV_TRAIN_DATA and "
            "LPV_VAL_DATA"
        ) from None
