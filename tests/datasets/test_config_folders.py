"""Tests of finding the data folders that configs name."""

from __future__ import annotations

from lpv_mmocr.datasets.config_folders import read_folders

from mmengine.config import Config


def test_folders_are_found_at_any_depth():
    inner = [
        dict(type="LPVLMDBDataset", data_root="data", ann_file="a", hold_out=5),
        dict(type="LPVLMDBDataset", ann_file=["b", "/c"]),
        dict(type="RenderedWordDataset", length=3),
    ]
    sets = dict(SVT="evaluation/SVT", IC15=None, own="/d")
    bench = dict(type="BenchmarkDataset", data_root="bench", sets=sets)
    config = Config(
        dict(loader=dict(dataset=dict(type="ConcatDataset", datasets=inner)), test=dict(d=bench))
    )
    found = list(read_folders(config.loader))
    assert [folder.path for folder in found] == ["data/a", "b", "/c"]
    assert [folder.dataset.get("hold_out") for folder in found] == [5, None, None]
    assert [folder.path for folder in read_folders(config.test)] == ["bench/evaluation/SVT", "/d"]
    assert list(read_folders(None)) == []
