"""Tests of parsing ``NAME[:switch…]`` and of the variants of a sweep."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.benchmark.specification import (
    DEFAULT_MODELS,
    check_labels,
    parse_adapter,
    parse_model,
)
from lpv_mmocr.benchmark.subjects import load
from lpv_mmocr.benchmark.sweep import sweep
from lpv_mmocr.cli import InputError

import pytest
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS


def test_switches_set_precision_deploy_and_compile():
    spec = parse_model("lpv-tiny:deploy:bf16:compile")
    assert spec.label == "lpv-tiny:deploy:bf16:compile"
    assert (spec.precision, spec.deploy, spec.compile) == ("bf16", True, True)
    assert not spec.channels_last
    assert Path(spec.config).name == "lpv-tiny_stage2_10e_st_mj.py"
    assert parse_model("lpv-tiny").precision is None


@pytest.mark.parametrize("name", DEFAULT_MODELS)
def test_short_names_are_configs(name):
    assert load(parse_model(name)).model.type


def test_paths_keep_their_colons():
    spec = parse_model("lpv_mmocr::textrecog/lpv/lpv-toy_digits.py:fp16")
    assert spec.config == "lpv_mmocr::textrecog/lpv/lpv-toy_digits.py"
    assert spec.label == "lpv-toy_digits:fp16"
    spec = parse_model("mmocr:nrtr/nrtr_modality-transform_6e_st_mj")
    assert spec.config == "mmocr::textrecog/nrtr/nrtr_modality-transform_6e_st_mj.py"
    spec = parse_adapter("some/where.py:build:bf16")
    assert spec.adapter == ("some/where.py", "build")
    assert (spec.label, spec.precision) == ("build:bf16", "bf16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lpv-huge", "'lpv-huge' names no model.*lpv-base.*mmocr:crnn"),
        ("lpv-tiny:int8", "'lpv-tiny:int8' names no model.*switches fp32, bf16"),
        ("lpv-tiny:bf16:fp16", "one precision"),
        ("lpv-tiny:deploy:deploy", "each switch once"),
    ],
)
def test_bad_model_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_model(text)


@pytest.mark.parametrize("text", ["file.py", "file:build", "file.py:build-it", ":build"])
def test_bad_adapter_is_refused(text):
    with pytest.raises(InputError, match=r"--adapter must be FILE\.py:FUNCTION"):
        parse_adapter(text)


def test_adapters_are_not_deployed():
    with pytest.raises(InputError, match="deploy is for LPV"):
        parse_adapter("file.py:build:deploy")


def test_labels_are_unique_and_include_the_baseline():
    specs = [parse_model("lpv-tiny"), parse_model("lpv-base")]
    assert check_labels(specs, None) == "lpv-tiny"
    assert check_labels(specs, "lpv-base") == "lpv-base"
    with pytest.raises(InputError, match="lpv-small is not one of the models: lpv-tiny, lpv-base"):
        check_labels(specs, "lpv-small")
    with pytest.raises(InputError, match="given more than once: lpv-tiny"):
        check_labels([specs[0], specs[0]], None)
    with pytest.raises(InputError, match="nothing to measure"):
        check_labels([], None)


def test_width_sweep_changes_the_image_size(toy_file):
    variants = sweep("width", [parse_model(toy_file)])
    assert [variant.at for variant in variants] == [32, 48, 64, 96, 128]
    assert variants[-1].label == "toy 16x128"
    assert load(variants[-1]).model.encoder.img_size == (16, 128)


def test_single_stage_of_a_sweep_has_no_mask(toy_file):
    first, second, *_ = sweep("stages", [parse_model(toy_file)])
    assert load(first).model.decoder.num_stages == 1
    assert not load(first).model.decoder.with_mask
    assert load(second).model.decoder.with_mask


def test_length_sweep_changes_the_longest_word(toy_file):
    variants = sweep("length", [parse_model(toy_file)])
    assert [variant.at for variant in variants] == [25, 50, 100]
    assert variants[1].label == "toy 50 characters"
    init_default_scope("mmocr")
    decoder = MODELS.build(load(variants[-1]).model).decoder
    assert decoder.num_positions == 102
    assert decoder.postprocessor.max_seq_len == 100


def test_sweep_of_another_model_is_refused():
    with pytest.raises(InputError, match="mmocr:crnn is not one"):
        sweep("width", [parse_model("mmocr:crnn")])
