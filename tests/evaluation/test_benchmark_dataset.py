from __future__ import annotations

import logging

from lpv_mmocr.datasets import LMDBDataError, close_environments
from lpv_mmocr.evaluation import BenchmarkDataset

import pytest
from benchmark_cases import PIPELINE, write_set
from mmengine.registry import DATASETS


@pytest.fixture
def root(tmp_path):
    write_set(tmp_path / "svt", ["one", "two"])
    write_set(tmp_path / "cute", ["three"])
    return tmp_path


def test_samples_name_their_set(root):
    config = dict(
        type="mmocr.BenchmarkDataset",
        data_root=str(root),
        sets=dict(CUTE80="cute", SVT="svt"),
        pipeline=PIPELINE,
    )
    dataset = DATASETS.build(config)
    packed = [dataset[index]["data_samples"] for index in range(len(dataset))]
    assert [s.benchmark_set for s in packed] == ["CUTE80", "SVT", "SVT"]
    assert [s.gt_text.item for s in packed] == ["three", "one", "two"]
    assert dataset.metainfo["benchmark_sets"] == ["CUTE80", "SVT"]
    assert dataset.metainfo["cumulative_sizes"] == [1, 3]


def test_absent_sets_are_warned_of(root, monkeypatch):
    lines = []
    monkeypatch.setattr(
        "lpv_mmocr.evaluation.benchmark_dataset.print_log",
        lambda message, logger, level: lines.append((message, level)),
    )
    (root / "empty").mkdir()
    sets = dict(SVT="svt", CUTE80="nowhere", SVTP="empty")
    dataset = BenchmarkDataset(data_root=str(root), sets=sets, pipeline=PIPELINE)
    assert len(dataset) == 2
    absent = dataset.metainfo["absent_benchmark_sets"]
    assert absent.keys() == {"CUTE80", "SVTP"}
    assert "nowhere does not exist" in absent["CUTE80"]
    assert [level for _, level in lines] == [logging.WARNING] * 2
    assert lines[0][0].startswith("The benchmark set CUTE80 is ABSENT")


def test_set_whose_folder_is_none_is_left_out(root):
    dataset = BenchmarkDataset(data_root=str(root), sets=dict(SVT="svt", CUTE80=None))
    assert dataset.names == ["SVT"]
    assert dataset.metainfo["absent_benchmark_sets"] == {}


def test_absence_of_every_set_is_an_error(root):
    with pytest.raises(FileNotFoundError, match=r"None of .* SVT, CUTE80 is there: .*nowhere"):
        BenchmarkDataset(data_root=str(root), sets=dict(SVT="nowhere", CUTE80="no"))
    with pytest.raises(ValueError, match="names no set"):
        BenchmarkDataset(data_root=str(root), sets=dict(SVT=None))


def test_damaged_set_is_an_error(root):
    close_environments()
    data_file = root / "svt" / "data.mdb"
    data_file.write_bytes(data_file.read_bytes()[:5000])
    with pytest.raises(LMDBDataError, match="cut short"):
        BenchmarkDataset(data_root=str(root), sets=dict(SVT="svt", CUTE80="cute"))


def test_pipeline_must_pack_bad_sample(root):
    pipeline = [*PIPELINE[:-1], dict(type="PackTextRecogInputs", meta_keys=["sample_key"])]
    dataset = BenchmarkDataset(data_root=str(root), sets=dict(SVT="svt"), pipeline=pipeline)
    with pytest.raises(ValueError, match="must pack 'bad_sample'"):
        dataset[0]


def test_augmented_variants_name_their_set(root):
    variants = [dict(type="Resize", scale=scale) for scale in ((64, 32), (32, 32))]
    tta = dict(type="TestTimeAug", transforms=[variants, [PIPELINE[-1]]])
    pipeline = [*PIPELINE[:2], tta]
    dataset = BenchmarkDataset(data_root=str(root), sets=dict(SVT="svt"), pipeline=pipeline)
    assert [s.benchmark_set for s in dataset[1]["data_samples"]] == ["SVT", "SVT"]


@pytest.mark.parametrize("name", ["present", "six", "eight"])
def test_names_of_means_are_refused(root, name):
    with pytest.raises(ValueError, match=f"the name '{name}', which is that of a mean"):
        BenchmarkDataset(data_root=str(root), sets={name: "svt"})
