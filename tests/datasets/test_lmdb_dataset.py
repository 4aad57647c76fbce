from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

from lpv_mmocr.datasets import BadSampleError, LMDBDataError, LPVLMDBDataset

import numpy as np
import pytest
from lmdb_cases import edit, write_words, zero_page
from mmengine.runner import Runner
from mmocr.registry import DATASETS

LABELS = ["Zero", "one!", "x" * 30, "Thr ee", "", "five"]
PIPELINE = [
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    dict(
        type="Resize", scale=(100, 32), keep_ratio=False, backend="pillow", interpolation="bicubic"
    ),
    dict(
        type="PackTextRecogInputs",
        meta_keys=("img_path", "ori_shape", "img_shape", "valid_ratio", "sample_key", "bad_sample"),
    ),
]
BAD_CHANGES = {
    "missing image": ({b"image-000000002": None}, "its image, key image-000000002, is missing"),
    "missing label": ({b"label-000000002": None}, "its label, key label-000000002, is missing"),
    "empty image": ({b"image-000000002": b""}, "its image is empty"),
    "undecodable image": ({b"image-000000002": b"noise"}, "cannot be decoded"),
    "cut JPEG": ({b"image-000000002": b"\xff\xd8\xff\xe0"}, "JPEG that was cut short"),
    "label not UTF-8": ({b"label-000000002": b"caf\xe9"}, "its label is not UTF-8"),
}


@pytest.fixture
def words(tmp_path):
    return write_words(tmp_path / "words", LABELS)


def texts(dataset) -> list[str]:
    return [dataset[i]["instances"][0]["text"] for i in range(len(dataset))]


def numbers(dataset) -> list[int]:
    return [int(dataset.get_data_info(i)["sample_key"][-9:]) for i in range(len(dataset))]


def test_training_labels_are_filtered(words):
    dataset = LPVLMDBDataset(ann_file=str(words))
    assert texts(dataset) == ["zero", "one", "three", "", "five"]
    assert numbers(dataset) == [1, 2, 4, 5, 6]


def test_evaluation_filters_nothing(words):
    dataset = LPVLMDBDataset(ann_file=str(words), test_mode=True, label_filter=dict(max_length=2))
    assert texts(dataset) == LABELS
    assert os.listdir(words) == ["data.mdb"], "no index is needed"


def test_filter_without_rejection_needs_no_index(words):
    dataset = LPVLMDBDataset(ann_file=str(words), label_filter=dict(max_length=None))
    assert texts(dataset) == ["zero", "one", "x" * 30, "three", "", "five"]
    assert os.listdir(words) == ["data.mdb"]


def test_sample_has_key_path_shape_and_image(words):
    dataset = LPVLMDBDataset(data_root=str(words.parent), ann_file="words")
    sample = dataset[2]
    assert sample["sample_key"] == "words:image-000000004"
    assert sample["img_path"] == str(words / "image-000000004")
    assert sample["sample_idx"] == 2
    assert sample["bad_sample"] is False
    assert sample["img_shape"] == sample["ori_shape"] == (8, 24)
    assert sample["img"].dtype == np.uint8
    assert sample["img"][0, -1].tolist() == [3, 3, 3]
    assert dataset[-1]["sample_key"] == dataset[4]["sample_key"]
    assert dataset.metainfo == dict(dataset_type="LPVLMDBDataset", task_name="textrecog")
    with pytest.raises(IndexError, match="no sample 5 in a dataset of 5"):
        dataset[5]


def test_get_data_info_does_not_decode(words):
    edit(words, {b"image-000000001": b"noise"})
    info = LPVLMDBDataset(ann_file=str(words)).get_data_info(0)
    assert info["img_bytes"] == b"noise"
    assert info["instances"] == [dict(text="zero")]


def test_samples_pass_through_the_mmocr_pipeline(words):
    dataset = DATASETS.build(
        dict(type="LPVLMDBDataset", ann_file=str(words), pipeline=copy.deepcopy(PIPELINE))
    )
    packed = dataset[1]
    assert packed["inputs"].shape == (3, 32, 100)
    assert packed["data_samples"].gt_text.item == "one"
    assert packed["data_samples"].sample_key == "words:image-000000002"
    assert packed["data_samples"].bad_sample is False


@pytest.fixture
def tree(tmp_path):
    write_words(tmp_path / "training" / "MJ" / "b", ["b1", "b2" * 20, "b3"])
    write_words(tmp_path / "training" / "MJ" / "a", ["a1", "a2"])
    write_words(tmp_path / "training" / "ST", ["s" * 40])
    return tmp_path / "training"


def test_folder_tree_is_read_in_sorted_order(tree):
    dataset = LPVLMDBDataset(ann_file=str(tree))
    assert texts(dataset) == ["a1", "a2", "b1", "b3"]
    assert dataset[3]["sample_key"] == "training/MJ/b:image-000000003"
    evaluated = LPVLMDBDataset(ann_file=str(tree), test_mode=True)
    assert texts(evaluated) == ["a1", "a2", "b1", "b2" * 20, "b3", "s" * 40]


def test_list_of_folders_is_read_in_its_order(tree):
    dataset = LPVLMDBDataset(data_root=str(tree), ann_file=["ST", "MJ/b"], test_mode=True)
    assert [dataset[i]["sample_key"] for i in (0, 1)] == [
        "ST:image-000000001",
        "b:image-000000001",
    ]
    assert len(dataset) == 4


def test_folders_of_the_same_name_are_told_apart(tmp_path):
    for parent in ("one", "two"):
        write_words(tmp_path / parent / "words", [parent])
    dataset = LPVLMDBDataset(ann_file=[str(tmp_path / "one/words"), str(tmp_path / "two/words")])
    assert dataset[0]["sample_key"] == f"{tmp_path}/one/words:image-000000001"
    assert dataset[1]["sample_key"] == f"{tmp_path}/two/words:image-000000001"


@pytest.mark.parametrize(
    ("indices", "training", "evaluation"),
    [
        (2, ["a1", "a2"], ["a1", "a2"]),
        (4, ["a1", "a2", "b1"], ["a1", "a2", "b1", "b2" * 20]),
        (-2, ["b3"], ["b3", "s" * 40]),
        (range(1, 5), ["a2", "b1", "b3"], ["a2", "b1", "b2" * 20, "b3"]),
        ([4, 0, -1, 3], ["b3", "a1"], ["b3", "a1", "s" * 40, "b2" * 20]),
    ],
)
def test_indices_count_before_the_filter(tree, indices, training, evaluation):
    options = dict(ann_file=str(tree), indices=indices)
    assert texts(LPVLMDBDataset(**options)) == training
    assert texts(LPVLMDBDataset(**options, test_mode=True)) == evaluation


@pytest.mark.parametrize("indices", [7, -7, [6], [-7]])
def test_indices_out_of_range_are_refused(tree, indices):
    with pytest.raises(ValueError, match="only 6 samples"):
        LPVLMDBDataset(ann_file=str(tree), indices=indices)


@pytest.mark.parametrize("indices", [2.5, True, "3", [0.5], [True, False], [[0, 1]]])
def test_indices_of_a_wrong_type_are_refused(tree, indices):
    with pytest.raises(ValueError, match="indices must be a number of samples"):
        LPVLMDBDataset(ann_file=str(tree), indices=indices)


def test_indices_may_be_a_numpy_array(tree):
    assert texts(LPVLMDBDataset(ann_file=str(tree), indices=np.array([0, 1]))) == ["a1", "a2"]


def test_subsets_select_filtered_samples(tree):
    dataset = LPVLMDBDataset(ann_file=str(tree))
    subset = dataset.get_subset([3, 1])
    assert texts(subset) == ["b3", "a2"]
    assert texts(dataset.get_subset(-1)) == ["b3"]
    subset.get_subset_(1)
    assert texts(subset) == ["b3"]
    assert len(dataset) == 4


def test_selection_without_passing_samples_is_refused(words):
    with pytest.raises(ValueError, match=r"No sample of .*words is left: 6 before"):
        LPVLMDBDataset(ann_file=str(words), indices=[2])


def test_missing_ann_file_is_refused():
    with pytest.raises(ValueError, match="ann_file names no LMDB folder"):
        LPVLMDBDataset()


def test_folder_without_an_lmdb_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds none"):
        LPVLMDBDataset(ann_file=str(tmp_path))


def test_truncated_lmdb_is_refused(words):
    file = words / "data.mdb"
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(LMDBDataError, match="cut short"):
        LPVLMDBDataset(ann_file=str(words))


def test_missing_num_samples_is_refused(words):
    edit(words, {b"num-samples": None})
    with pytest.raises(LMDBDataError, match="has no key 'num-samples'"):
        LPVLMDBDataset(ann_file=str(words), test_mode=True)


@pytest.mark.parametrize("case", BAD_CHANGES)
def test_bad_sample_in_training_is_replaced(words, log_lines, case):
    changes, reason = BAD_CHANGES[case]
    edit(words, changes)
    dataset = LPVLMDBDataset(ann_file=str(words))
    assert len(dataset) == 5
    first = dataset[1]
    assert first["sample_key"] != "words:image-000000002"
    assert first["bad_sample"] is False
    assert dataset[1]["sample_key"] == first["sample_key"], "always the same replacement"
    again = LPVLMDBDataset(ann_file=str(words))
    assert again[1]["sample_key"] == first["sample_key"]
    assert dataset.bad_samples.count == 2
    named = [line for line in log_lines if "Bad sample" in line]
    assert len(named) == 2, "once for each data set"
    assert "words:image-000000002" in named[0] and reason in named[0]
    assert "is replaced by another" in named[0]


@pytest.mark.parametrize("case", BAD_CHANGES)
def test_bad_sample_in_evaluation_is_kept_and_flagged(words, log_lines, case):
    changes, reason = BAD_CHANGES[case]
    edit(words, changes)
    dataset = LPVLMDBDataset(ann_file=str(words), test_mode=True, pipeline=copy.deepcopy(PIPELINE))
    packed = [dataset[i] for i in (*range(len(dataset)), 1)]
    assert [sample["data_samples"].bad_sample for sample in packed] == [
        False, True, False, False, False, False, True,
    ]  # fmt: skip
    bad = packed[1]
    assert (bad["inputs"] == 127).all()
    assert bad["data_samples"].sample_key == "words:image-000000002"
    expected = {"missing label": "", "label not UTF-8": "caf\ufffd"}.get(case, "one!")
    assert bad["data_samples"].gt_text.item == expected
    (line,) = [line for line in log_lines if "Bad sample" in line]
    assert "words:image-000000002" in line and reason in line and "counts as wrong" in line


@pytest.mark.parametrize("kind", ["image", "label"])
def test_samples_on_a_damaged_page_are_bad(tmp_path, log_lines, kind):
    path = write_words(tmp_path / "words", ["word"] * 500)
    damaged = zero_page(path, b"%s-000000250" % kind.encode())
    training = LPVLMDBDataset(ann_file=str(damaged))
    assert len(training) == 500
    keys = [training[position]["sample_key"] for position in range(500)]
    bad = sum(key != f"words:image-{number:09d}" for number, key in enumerate(keys, 1))
    assert 10 < bad < 250
    assert training.bad_samples.count >= bad
    (line,) = [line for line in log_lines if f"Bad sample words:image-{250:09d}" in line]
    assert f"key {kind}-000000250 of {path}/data.mdb cannot be read" in line
    assert "is replaced by another" in line

    evaluation = LPVLMDBDataset(ann_file=str(damaged), test_mode=True)
    samples = [evaluation[position] for position in range(500)]
    assert sum(sample["bad_sample"] for sample in samples) == evaluation.bad_samples.count == bad
    assert samples[249]["bad_sample"] and not samples[0]["bad_sample"]
    assert samples[249]["instances"] == [dict(text="word" if kind == "image" else "")]


def test_get_data_info_of_a_bad_sample_raises(words):
    edit(words, {b"image-000000002": None})
    with pytest.raises(BadSampleError, match="words:image-000000002: its image") as raised:
        LPVLMDBDataset(ann_file=str(words)).get_data_info(1)
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (copied.sample_key, copied.text) == ("words:image-000000002", "one!")
    assert str(copied) == str(raised.value)


def test_too_many_bad_samples_in_a_row_raise(words, log_lines):
    edit(words, {b"image-%09d" % number: b"noise" for number in range(1, 7)})
    dataset = LPVLMDBDataset(ann_file=str(words), max_refetch=20)
    with pytest.raises(RuntimeError, match=r"21 samples of .*words in a row were bad"):
        dataset[0]
    assert dataset.bad_samples.count == 21
    assert len({line for line in log_lines if "Bad sample" in line}) <= 5


def test_pipeline_that_loads_files_is_refused(words):
    pipeline = [dict(type="mmocr.LoadImageFromFile"), *PIPELINE[1:]]
    with pytest.raises(ValueError, match="begin its pipeline with LoadImageFromNDArray"):
        LPVLMDBDataset(ann_file=str(words), pipeline=pipeline)


def test_sample_that_the_pipeline_rejects_is_replaced_or_raises(words):
    refuse_first = lambda sample: None if sample["sample_idx"] == 0 else sample  # noqa: E731
    training = LPVLMDBDataset(ann_file=str(words), pipeline=[refuse_first])
    assert training[0]["sample_idx"] != 0
    assert training.bad_samples.count == 0
    evaluation = LPVLMDBDataset(ann_file=str(words), pipeline=[refuse_first], test_mode=True)
    with pytest.raises(RuntimeError, match="test pipeline returned nothing for sample 0"):
        evaluation[0]


def test_several_datasets_can_share_one_file(words):
    one = LPVLMDBDataset(ann_file=str(words))
    other = LPVLMDBDataset(ann_file=str(words), test_mode=True, indices=-1)
    assert one[4]["sample_key"] == other[0]["sample_key"]


def test_pickle_is_small(tmp_path):
    path = write_words(tmp_path / "many", ["word"] * 5000)
    dataset = LPVLMDBDataset(ann_file=str(path))
    dataset[0]
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 20_000 + 8 * 1280  # the second term: counters of bad samples
    assert pickle.loads(pickled)[4999]["instances"] == [dict(text="word")]


def test_lazy_init_opens_the_file_later(tmp_path):
    dataset = LPVLMDBDataset(ann_file=str(tmp_path / "later"), lazy_init=True)
    write_words(tmp_path / "later", ["word"])
    assert len(dataset) == 1


@pytest.mark.parametrize(
    "method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)]
)  # spawned workers import everything again
def test_workers_read_all_samples_and_count_bad_ones(words, method):
    edit(words, {b"image-000000002": None})
    dataset = LPVLMDBDataset(ann_file=str(words), test_mode=True, pipeline=copy.deepcopy(PIPELINE))
    dataset[0]  # the environment is open when the workers are forked
    loader = Runner.build_dataloader(
        dict(
            dataset=dataset,  # copied by build_dataloader
            batch_size=2,
            num_workers=2,
            sampler=dict(type="DefaultSampler", shuffle=False),
            multiprocessing_context=method,
        ),
        seed=0,
    )
    samples = [sample for batch in loader for sample in batch["data_samples"]]
    assert [sample.gt_text.item for sample in samples] == LABELS
    assert loader.dataset.bad_samples.count == 1, "counted in the worker, known here"


@pytest.mark.skipif("LPV_REAL_DATA" not in os.environ, reason="LPV_REAL_DATA is not set")
@pytest.mark.parametrize(("name", "count"), [("IIIT5K_train", 2000), ("IC15_train", 4468)])
def test_real_datasets_are_readable(name, count, tmp_path):
    path = tmp_path / name  # the index goes here, not next to the shared data
    path.mkdir()
    (path / "data.mdb").symlink_to(Path(os.environ["LPV_REAL_DATA"], name, "data.mdb"))
    training = LPVLMDBDataset(ann_file=str(path))
    evaluation = LPVLMDBDataset(ann_file=str(path), test_mode=True)
    assert len(training) == len(evaluation) == count
    allowed = set(training.label_filter.charset)
    for position in range(0, count, 50):
        sample = training[position]
        assert set(sample["instances"][0]["text"]) <= allowed
        assert min(sample["img_shape"]) > 1
    assert training.bad_samples.count == 0


def test_failed_start_is_repeated(words):
    dataset = LPVLMDBDataset(ann_file=str(words), indices=[], lazy_init=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="No sample of"):
            len(dataset)
