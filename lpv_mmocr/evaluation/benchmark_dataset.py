"""Several named benchmark sets as one dataset; some of them may be absent."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence

from mmengine.logging import print_log
from mmocr.datasets import ConcatDataset
from mmocr.registry import DATASETS

from ..datasets.lmdb_dataset import LPVLMDBDataset
from ..datasets.lmdb_folders import find_lmdbs
from .benchmark_sets import PRESENT, SET_GROUPS


@DATASETS.register_module()
class BenchmarkDataset(ConcatDataset):
    """Benchmark sets in LMDBs, evaluated in one run.

    A set whose folder does not exist is named in the log and in the meta information, from which
    :class:`BenchmarkMetric` adds it to its report. Every sample carries the name of its set as
    ``benchmark_set``.

    Args:
        sets: Folder of each set, by set name; None removes a set that an inherited config names.
        data_root: Folder that these are relative to.
        pipeline: Transforms, as MMEngine builds them. The packing transform must keep
            ``sample_key`` and ``bad_sample``, as ``PackWordInputs`` does.

    Raises:
        FileNotFoundError: If none of the sets exists.
        LMDBDataError: If the LMDB of a set is damaged.
        ValueError: If ``sets`` names none, or one has the name of a mean.
    """

    def __init__(
        self,
        *,
        sets: Mapping[str, str | None],
        data_root: str = "",
        pipeline: Sequence[dict | Callable] = (),
    ) -> None:
        wanted = {name: folder for name, folder in sets.items() if folder is not None}
        if not wanted:
            raise ValueError("'sets' of BenchmarkDataset names no set")
        if taken := {*SET_GROUPS, PRESENT}.intersection(wanted):
            raise ValueError(
                f"'sets' of BenchmarkDataset has the name {min(taken)!r}, which is that of a mean; "
                "choose another"
            )
        absent: dict[str, str] = {}
        for name, folder in wanted.items():
            try:
                find_lmdbs(os.path.join(data_root, folder))
            except FileNotFoundError as error:
                absent[name] = str(error)
        if len(absent) == len(wanted):
            raise FileNotFoundError(
                f"None of the benchmark sets {', '.join(wanted)} is there: "
                f"{next(iter(absent.values()))} (set the data's root in LPV_DATA_ROOT and its "
                "folder layout in LPV_DATA_TREE, or test_dataloader.dataset.data_root and "
                "test_dataloader.dataset.sets in the config)"
            )
        for name, reason in absent.items():
            print_log(
                f"The benchmark set {name} is ABSENT and will not be evaluated: {reason}",
                logger="current",
                level=logging.WARNING,
            )
        self.names = [name for name in wanted if name not in absent]
        super().__init__(
            datasets=[
                LPVLMDBDataset(data_root=data_root, ann_file=wanted[name], test_mode=True)
                for name in self.names
            ],
            pipeline=list(pipeline),
        )
        self._metainfo.update(benchmark_sets=self.names, absent_benchmark_sets=absent)

    def __getitem__(self, idx: int) -> dict:
        """Return a sample as the pipeline packs it, with the name of its set.

        Args:
            idx: Position in the concatenation of the sets.

        Raises:
            ValueError: If the pipeline does not pack ``bad_sample``.
        """
        packed = super().__getitem__(idx)
        source, _ = self._get_ori_dataset_idx(idx)
        samples = packed["data_samples"]
        # Test-time augmentation packs a list with one sample per view.
        for sample in samples if isinstance(samples, list) else [samples]:
            if "bad_sample" not in sample:
                raise ValueError(
                    "The pipeline of BenchmarkDataset must pack 'bad_sample', or unreadable "
                    "images could count as correct; end it with dict(type='PackWordInputs')"
                )
            sample.set_metainfo({"benchmark_set": self.names[source]})
        return packed
