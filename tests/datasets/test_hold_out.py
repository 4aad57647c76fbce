from __future__ import annotations

import re
from pathlib import Path

import lpv_mmocr.evaluation  # noqa: F401  (registers)
from lpv_mmocr.datasets import LPVLMDBDataset

import pytest
from lmdb_cases import write_words
from mmengine.config import Config
from mmocr.registry import DATASETS

BASES = Path(__file__).parents[2] / "configs" / "textrecog" / "_base_" / "datasets"
WORDS = {"a": ["a1", "a2", "long" * 10], "b": ["b1", "long" * 9, "b3"]}


@pytest.fixture
def tree(tmp_path):
    for name, labels in WORDS.items():
        write_words(tmp_path / "MJ" / name, labels)
    return str(tmp_path / "MJ")


def keys(dataset) -> list[str]:
    return [
        dataset.get_data_info(i)["sample_key"].replace("MJ/", "").replace(":image-00000000", "")
        for i in range(len(dataset))
    ]


@pytest.mark.parametrize("count", range(1, 6))
def test_training_and_validation_share_no_word_and_lose_none(tree, count):
    training = LPVLMDBDataset(ann_file=tree, hold_out=count, label_filter=dict(max_length=None))
    validation = LPVLMDBDataset(ann_file=tree, indices=-count, test_mode=True)
    assert keys(training) + keys(validation) == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_lmdb_listed_twice_is_refused(tree, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "MJ" / "b")
    monkeypatch.chdir(tree)
    for folders in ([tree, f"{tree}/b"], [tree, tree], ["a", "a"], ["b", str(tmp_path / "link")]):
        with pytest.raises(ValueError, match=r"the LMDB .* occurs twice, first as .*[ab]: list"):
            LPVLMDBDataset(ann_file=folders, hold_out=2).full_init()


def test_hold_out_counts_before_the_filter(tree):
    assert keys(LPVLMDBDataset(ann_file=tree, hold_out=2)) == ["a1", "a2", "b1"]
    # The complete second LMDB is held out, and a part of the first.
    assert keys(LPVLMDBDataset(ann_file=tree, hold_out=4)) == ["a1", "a2"]


@pytest.mark.parametrize(
    ("indices", "expected"),
    [(1, ["a1"]), (-2, ["b1"]), ([3, 0], ["b1", "a1"]), ([-1], []), ([-2, -4], ["b1", "a2"])],
)
def test_indices_count_the_samples_not_held_out(tree, indices, expected):
    options = dict(ann_file=tree, hold_out=1, indices=indices)
    if not expected:
        with pytest.raises(ValueError, match="is left"):
            LPVLMDBDataset(**options)
    else:
        assert keys(LPVLMDBDataset(**options)) == expected


def test_indices_when_only_the_first_lmdb_is_left(tree):
    assert keys(LPVLMDBDataset(ann_file=tree, hold_out=3, indices=[1, 0])) == ["a2", "a1"]
    with pytest.raises(ValueError, match="only 3 samples"):
        LPVLMDBDataset(ann_file=tree, hold_out=3, indices=[3])


@pytest.mark.parametrize("count", [0.2, 2.0, True, "2", None])
def test_hold_out_that_is_not_an_integer_is_refused(tree, count):
    with pytest.raises(ValueError, match=r"hold_out must be a number of samples, .* not "):
        LPVLMDBDataset(ann_file=tree, hold_out=count)


def test_hold_out_out_of_range_is_refused(tree):
    with pytest.raises(ValueError, match="hold_out must not be negative"):
        LPVLMDBDataset(ann_file=tree, hold_out=-1)
    with pytest.raises(ValueError, match="hold_out=6 leaves nothing of the 6 samples"):
        LPVLMDBDataset(ann_file=tree, hold_out=6)


@pytest.mark.parametrize(
    ("name", "several"), [("lpv-toy_own_data.py", False), ("lpv-tiny_stage1_10e_st_mj.py", True)]
)
def test_advice_for_too_few_words_can_be_followed(name, several, tmp_path, monkeypatch):
    words = [f"w{i}" for i in range(24)]
    write_words(tmp_path / "training" / "MJ", words)
    write_words(tmp_path / "training" / "ST", words)
    monkeypatch.setenv("LPV_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("LPV_TRAIN_DATA", str(tmp_path / "training" / "MJ"))
    config = Config.fromfile(BASES.parents[1] / "lpv" / name)
    advice = set()
    for dataset in (config.train_dataloader.dataset, config.val_dataloader.dataset):
        with pytest.raises(ValueError, match="to hold out only") as error:
            len(DATASETS.build(dataset))
        advice.add(re.search(r"--cfg-options (\S+) (\S+)", str(error.value)).groups())
        assert "train_dataloader.dataset.datasets.0.hold_out where" in str(error.value)
    ((training, validation),) = advice  # the same for both, whichever is built first
    if several:
        training = training.replace("dataset.hold_out", "dataset.datasets.0.hold_out")
    options = dict(option.split("=") for option in (training, validation))
    config.merge_from_dict({key: int(value) for key, value in options.items()})
    assert len(DATASETS.build(config.train_dataloader.dataset)) == 22 + 24 * several
    assert len(DATASETS.build(config.val_dataloader.dataset)) == 2


LAYOUTS = dict(
    lpv_tree=("training", ["MJ_train", "MJ_valid", "MJ_test"], "evaluation", "IIIT5k"),
    clova_tree=("training", ["MJ_train", "MJ_valid", "MJ_test"], "evaluation", "IIIT5k_3000"),
    parseq_tree=("train/synth", ["train", "val", "test"], "test", "IIIT5k"),
)
SETS = ["SVT", "IC13_857", "IC15_1811", "SVTP", "CUTE80", "IC13_1015", "IC15_2077"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_configs_read_every_folder_layout(name, tmp_path, monkeypatch):
    training, parts, evaluation, iiit5k = LAYOUTS[name]
    for part in parts:
        write_words(tmp_path / training / "MJ" / part, [f"{part}{i}" for i in range(3)])
    write_words(tmp_path / training / "ST", ["st"])
    for folder in (iiit5k, *SETS):
        write_words(tmp_path / evaluation / folder, [folder])
    monkeypatch.setenv("LPV_DATA_ROOT", str(tmp_path))

    config = Config.fromfile(BASES / f"{name}.py")
    assert config.num_held_out == 5000
    mj, _ = config.train_dataloader.dataset.datasets
    assert mj.hold_out == -config.val_dataloader.dataset.indices == 5000
    # MJ has only nine words here; hold out four of them.
    mj.hold_out, config.val_dataloader.dataset.indices = 4, -4
    pipeline = [
        dict(type="LoadImageFromNDArray"),
        dict(type="LoadOCRAnnotations", with_text=True),
        dict(type="PackWordInputs"),
    ]
    datasets = []
    for dataloader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        dataloader.dataset.pipeline = pipeline  # as the configs that inherit from it do
        datasets.append(DATASETS.build(dataloader.dataset))
    train, val, test = datasets
    assert [len(d) for d in (train, val, test)] == [5 + 1, 4, 8]
    seen = [[d[i]["data_samples"] for i in range(len(d))] for d in (train, val, test)]
    assert not {s.img_path for s in seen[0]} & {s.img_path for s in seen[1]}
    assert [s.gt_text.item for s in seen[2]] == [iiit5k, "SVT", *SETS[1:]]
    assert test.metainfo["benchmark_sets"] == ["IIIT5k", *SETS]
