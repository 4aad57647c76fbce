from __future__ import annotations

import shutil
from pathlib import Path

from lpv_mmocr.rendering import dataset as rendered_words
from lpv_mmocr.rendering.dataset import RenderedWordDataset
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder

import numpy as np
import pytest
from mmocr.registry import DATASETS
from torch.utils.data import DataLoader

OPTIONS = dict(
    fonts=[str(matplotlib_font_folder())], system_fonts=False, difficulty="easy", max_length=6
)


def build(**changes):
    return DATASETS.build(dict(type="RenderedWordDataset", **{**OPTIONS, **changes}))


def test_registered_and_ready_for_recognition_pipelines():
    pipeline = [
        dict(type="mmocr.LoadOCRAnnotations", with_text=True),
        dict(type="mmocr.PackTextRecogInputs", meta_keys=("img_path", "ori_shape", "img_shape")),
    ]
    dataset = build(length=10, pipeline=pipeline)
    assert isinstance(dataset, RenderedWordDataset)
    assert len(dataset) == 10
    packed = dataset[3]
    assert packed["inputs"].shape[0] == 3
    assert 1 <= len(packed["data_samples"].gt_text.item) <= 6


def test_images_are_bgr():
    dataset = build(length=5)
    word = dataset.renderer(0, 2)
    np.testing.assert_array_equal(dataset[2]["img"], word.image[:, :, ::-1])
    assert dataset[2]["instances"] == [dict(text=word.label)]


def test_samples_depend_on_their_index_alone_without_reuse():
    first, second = build(length=30), build(length=30)
    for index in (5, 0, 29):
        np.testing.assert_array_equal(first[index]["img"], second[index]["img"])


def test_the_pool_gives_each_image_several_times():
    dataset = build(length=200, reuse=4, pool_size=10)
    paths = [dataset[index]["img_path"] for index in range(200)]
    assert len(set(paths)) <= 10 + 190 / 4  # first the pool is filled
    assert paths[::4] == [f"rendered/0/{index}" for index in range(0, 200, 4)]
    assert len(dataset._pool) == 10
    # Old images are replaced: only recent ones are in the pool.
    assert min(number for number, _, _ in dataset._pool) >= 160


def test_images_of_a_new_pool_are_not_overused():
    dataset = build(length=300, reuse=4, pool_size=1000)
    paths = [dataset[index]["img_path"] for index in range(300)]
    assert len(set(paths[:100])) == 100
    assert max(map(paths.count, paths)) < 10


def test_the_pool_pairs_images_with_their_labels():
    dataset = build(length=40, reuse=3, pool_size=5)
    for index in range(40):
        sample = dataset[index]
        number = int(sample["img_path"].rsplit("/", 1)[1])
        assert sample["instances"][0]["text"] == dataset.renderer(0, number).label


def test_worker_processes_do_not_repeat_one_another():
    dataset = build(length=24)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=lambda batch: batch)
    paths = [sample["img_path"] for batch in loader for sample in batch]
    assert paths == [f"rendered/0/{index}" for index in range(24)]


def test_render_settings_reach_the_renderer():
    dataset = build(render=dict(text_height=(30.0, 30.0)))
    assert dataset.renderer.config.text_height == (30.0, 30.0)


@pytest.mark.parametrize("system", [False, True])
def test_fonts_and_words_are_logged_once(tmp_path, monkeypatch, system):
    words = tmp_path / "words.txt"
    words.write_text("one\ntwo\nthree\n")
    log = []
    monkeypatch.setattr(rendered_words, "print_log", lambda text, **_: log.append(text))
    dataset = build(words=str(words), system_fonts=system)
    dataset[0], dataset[1]
    (said,) = log
    assert f"Rendering with {len(dataset.renderer.fonts)} fonts ({OPTIONS['fonts'][0]}" in said
    assert said.endswith(f" and 3 words ({words})")
    assert ("this machine" in said) == system


@pytest.mark.parametrize("name", ["length", "reuse", "pool_size"])
def test_counts_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        build(**{name: 0})


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="no field blurr"):
        build(render=dict(blurr=1))
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        build(seed=-1)
    with pytest.raises(IndexError, match="sample 10 of 10"):
        build(length=10)[10]


def test_spawned_workers_render_the_same():
    dataset = build(length=4)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    for index, sample in enumerate(loader):
        np.testing.assert_array_equal(sample["img"], dataset[index]["img"])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_single_font_folder_may_be_given(tmp_path, kind):
    shutil.copy(matplotlib_font_folder() / "DejaVuSans.ttf", tmp_path)
    options = dict(length=1, difficulty="easy", system_fonts=False)
    single = RenderedWordDataset(fonts=kind(tmp_path), **options)
    listed = RenderedWordDataset(fonts=[str(tmp_path)], **options)
    assert single.fingerprint == listed.fingerprint


def test_word_list_that_is_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"word list {tmp_path} is a folder"):
        RenderedWordDataset(words=str(tmp_path))
