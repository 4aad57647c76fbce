"""Tests of the model zoo: its configs, its index, and external configs that inherit from it."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import lpv_mmocr.evaluation
import lpv_mmocr.inferencer_patches
from lpv_mmocr.datasets import LMDBWriter
from lpv_mmocr.engine.schedule import check_one_cycle_length
from lpv_mmocr.models import LPV

import cv2
import mmocr
import numpy as np
import pytest
import torch
import yaml
from lpv_cases import SIZES
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmocr.apis import TextRecInferencer
from mmocr.registry import DATASETS, MODELS, TASK_UTILS, TRANSFORMS

ROOT = Path(__file__).parents[1]
ZOO = ROOT / "configs" / "textrecog" / "lpv"
CONFIGS = sorted(path.name for path in ZOO.glob("[!_]*.py"))
LEAVES = [f"lpv-{size}_stage{stage}_10e_st_mj" for size in SIZES for stage in (1, 2)]

needs_installation = pytest.mark.skipif(
    not (ROOT / "lpv_mmocr" / ".mim" / "configs").exists(),
    reason="scope paths need the package installed: pip install -e .",
)


@pytest.fixture(autouse=True)
def _mmocr_scope():
    init_default_scope("mmocr")


def load_yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_loads(name, monkeypatch):
    for variable in [variable for variable in os.environ if variable.startswith("LPV_")]:
        monkeypatch.delenv(variable)  # which may name a folder in the checkout
    config = Config.fromfile(ZOO / name)
    assert config.custom_imports.imports == ["lpv_mmocr"]
    # The text stored in every checkpoint: self-contained, without paths of this machine.
    assert str(ROOT) not in config.pretty_text
    again = Config.fromstring(config.pretty_text, file_format=".py")
    assert again.model == config.model


@pytest.mark.parametrize("loader", ["train", "val", "test"])
@pytest.mark.parametrize("name", CONFIGS)
def test_datasets_and_transforms_accept_their_arguments(name, loader):
    checked = 0
    for part in parts(Config.fromfile(ZOO / name)[f"{loader}_dataloader"]["dataset"]):
        kind, arguments = part["type"], {key: part[key] for key in part if key != "type"}
        registries = (DATASETS, TRANSFORMS, MODELS, TASK_UTILS)
        cls = next(filter(None, (registry.get(kind) for registry in registries)))
        inspect.signature(cls).bind(**arguments)
        checked += 1
    assert checked >= 2


def parts(value) -> Iterator[dict]:
    """Yield every entry of a config from which an object is built."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        value = value.values()
    if not isinstance(value, str) and isinstance(value, Iterable):
        for inner in value:
            yield from parts(inner)


@pytest.mark.parametrize("name", sorted({*CONFIGS} - {f"{leaf}.py" for leaf in LEAVES}))
def test_other_config_builds(name):
    assert isinstance(MODELS.build(Config.fromfile(ZOO / name).model), LPV)


@pytest.mark.parametrize("name", LEAVES)
def test_config_matches_its_size_and_stage(name):
    config = Config.fromfile(ZOO / f"{name}.py")
    size, stage = re.match(r"lpv-(\w+)_stage(\d)", name).groups()
    model = MODELS.build(config.model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == SIZES[size]["trainable"]
    assert config.model.decoder.with_mask is (stage == "2")
    for dataloader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert dataloader.dataset.pipeline[-1].type == "PackWordInputs"
    benchmark = config.test_dataloader.dataset
    assert list(benchmark.sets) == list(lpv_mmocr.evaluation.EXPECTED_COUNTS)


# Folders of MJSynth, SynthText and IIIT5k in each release of the data.
TREES = {
    "lpv": ("training/MJ", "training/ST", "evaluation/IIIT5k"),
    "clova": ("training/MJ", "training/ST", "evaluation/IIIT5k_3000"),
    "parseq": ("train/synth/MJ", "train/synth/ST", "test/IIIT5k"),
}


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("name", [*LEAVES, "lpv-tiny_stage1_10e_st_mj_94chars"])
def test_config_finds_its_data_in_each_tree(name, tree, monkeypatch):
    monkeypatch.setenv("LPV_DATA_TREE", tree)
    monkeypatch.setenv("LPV_DATA_ROOT", "/corpus")
    config = Config.fromfile(ZOO / f"{name}.py")
    mj, st, iiit5k = TREES[tree]
    training = config.train_dataloader.dataset
    assert [words.ann_file for words in training.datasets] == [mj, st]
    assert config.val_dataloader.dataset.ann_file == mj
    assert config.test_dataloader.dataset.sets.IIIT5k == iiit5k
    assert [words.get("hold_out") for words in training.datasets] == [5000, None]
    for dataset in (
        *training.datasets,
        config.val_dataloader.dataset,
        config.test_dataloader.dataset,
    ):
        assert dataset.data_root == "/corpus"
    for dataset in (training, config.val_dataloader.dataset, config.test_dataloader.dataset):
        assert dataset.pipeline[-1].type == "PackWordInputs"


def test_both_training_sets_are_filtered_by_the_94_characters():
    config = Config.fromfile(ZOO / "lpv-tiny_stage1_10e_st_mj_94chars.py")
    filters = [words.label_filter for words in config.train_dataloader.dataset.datasets]
    wanted = dict(charset=config.model.decoder.dictionary.characters, case_sensitive=True)
    assert filters == [wanted, wanted]


def test_unknown_tree_is_refused(monkeypatch):
    monkeypatch.setenv("LPV_DATA_TREE", "nope")
    with pytest.raises(FileNotFoundError, match=r"nope_tree\.py"):
        Config.fromfile(ZOO / f"{LEAVES[0]}.py")


@pytest.mark.parametrize("name", LEAVES)
def test_config_follows_the_released_recipe(name):
    config = Config.fromfile(ZOO / f"{name}.py")
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ("Adam", 1e-4)
    assert tuple(optimizer.betas) == (0.9, 0.999)
    assert optimizer.weight_decay == 0
    assert config.optim_wrapper.clip_grad == dict(max_norm=20, norm_type=2)
    assert "accumulative_counts" not in config.optim_wrapper
    (drop,) = config.param_scheduler
    assert (drop.type, drop.by_epoch) == ("MultiStepLR", False)
    assert (drop.milestones, drop.gamma) == ([240_000], 0.1)
    assert config.train_cfg.max_iters == 413_940
    loader = config.train_dataloader
    assert loader.batch_size == 96
    assert config.auto_scale_lr.base_batch_size == 4 * 96
    # Half of every batch MJSynth, half SynthText.
    assert loader.batch_sampler == dict(type="SourceShareBatchSampler", weights=[1, 1])
    assert [Path(words.ann_file).name for words in loader.dataset.datasets] == ["MJ", "ST"]
    preprocessor = config.model.data_preprocessor
    assert (preprocessor.mean, preprocessor.std) == ([0, 0, 0], [255, 255, 255])
    assert preprocessor.bgr_to_rgb is True
    height, width = config.model.encoder.img_size
    (resize,) = [step for step in loader.dataset.pipeline if step.type == "Resize"]
    assert tuple(resize.scale) == (width, height)
    assert (resize.backend, resize.interpolation) == ("pillow", "bicubic")
    assert loader.dataset.pipeline[3] == dict(type="TextAugment")
    starts = [hook.type for hook in config.get("custom_hooks") or []]
    assert starts == (["InitialWeightsHook"] if "stage2" in name else [])


@pytest.mark.parametrize("name", [name for name in CONFIGS if "own_data" in name])
def test_learning_rate_of_own_data_is_for_one_process(name):
    config = Config.fromfile(ZOO / name)
    assert config.auto_scale_lr.base_batch_size == config.train_dataloader.batch_size


@pytest.mark.parametrize("name", CONFIGS)
def test_one_cycle_ends_with_the_training(name):
    check_one_cycle_length(Config.fromfile(ZOO / name))


# The index, in MMOCR's format.


def metafile() -> dict:
    (path,) = load_yaml(ROOT / "model-index.yml")["Import"]
    return load_yaml(ROOT / path)


def test_index_lists_the_configs_of_all_sizes():
    models = {model["Name"]: model for model in metafile()["Models"]}
    assert list(models) == LEAVES
    for name, model in models.items():
        assert model["Config"] == f"configs/textrecog/lpv/{name}.py"
        assert (ROOT / model["Config"]).is_file()
        size = re.match(r"lpv-(\w+?)_", name).group(1)
        assert model["Metadata"]["Parameters"] == SIZES[size]["trainable"]


def test_aliases_are_listed_as_names():
    """MMEngine lists the letters of an alias that is text."""
    aliases = [model["Alias"] for model in metafile()["Models"] if "Alias" in model]
    assert aliases == [["lpv-tiny"], ["lpv-small"], ["lpv-base"]]


def test_every_model_belongs_to_the_collection():
    (collection,) = metafile()["Collections"]
    assert {model["In Collection"] for model in metafile()["Models"]} == {collection["Name"]}
    assert (ROOT / collection["README"]).is_file()


def test_metafile_has_only_keys_of_mmocr():
    keys: dict[str, set[str]] = {"Collections": set(), "Models": set()}
    for path in Path(mmocr.__file__).parent.glob(".mim/configs/text*/*/metafile.yml"):
        for part, known in keys.items():
            for entry in load_yaml(path).get(part, []):
                known.update(entry)
    assert "Config" in keys["Models"], "MMOCR's metafiles were found"
    for part, known in keys.items():
        assert {key for entry in metafile()[part] for key in entry} <= known


def test_readme_lists_every_config_and_no_unmeasured_results():
    text = (ZOO / "README.md").read_text(encoding="utf-8")
    for name in LEAVES:
        assert f"({name}.py)" in text
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ZOO / target).exists(), target
    # Nothing has been measured here yet: a number in the last two columns needs a metafile entry.
    measured = re.findall(r"^\| [^|]+ \| \d+ \|[^|]*\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    assert len(measured) == 3 * 9
    has_results = any("Results" in model for model in metafile()["Models"])
    assert any(cell.strip() for row in measured for cell in row) is has_results


@needs_installation
def test_config_is_found_by_mmengines_hub():
    config = get_config("lpv_mmocr::textrecog/lpv/lpv-tiny_stage2_10e_st_mj.py")
    assert config.model.decoder.with_mask is True


@needs_installation
def test_model_is_found_by_its_alias():
    with DefaultScope.overwrite_default_scope("lpv_mmocr"), pytest.warns(UserWarning):
        reader = TextRecInferencer("lpv-tiny", device="cpu", scope="lpv_mmocr")
    assert reader.model.decoder.with_mask is True


# Configs outside the zoo.

ONE_STEP = """
custom_imports = dict(imports=["lpv_mmocr"], allow_failed_imports=False)
train_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LPVLMDBDataset",
        ann_file={words!r},
        pipeline=[
            dict(type="LoadImageFromNDArray"),
            dict(type="LoadOCRAnnotations", with_text=True),
            dict(type="Resize", scale=(100, 32), backend="pillow", interpolation="bicubic"),
            dict(type="PackWordInputs"),
        ],
    ),
)
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=1)
param_scheduler = None
val_cfg = val_dataloader = val_evaluator = test_cfg = test_dataloader = test_evaluator = None
default_hooks = dict(checkpoint=None)
visualizer = dict(vis_backends=[])
"""
INHERITS_LPV = """
_base_ = ["lpv_mmocr::textrecog/lpv/lpv-tiny_stage1_10e_st_mj.py"]
model = dict(encoder=dict(depths=(1, 1, 1), num_local_blocks=1))
"""
INHERITS_MMOCR = """
_base_ = ["mmocr::textrecog/satrn/satrn_shallow-small_5e_st_mj.py"]
model = dict(
    encoder=None,
    decoder=dict(
        _delete_=True,
        type="CPADecoder",
        in_channels=256,
        dictionary=dict(
            type="CharacterDictionary",
            characters="0123456789abcdefghijklmnopqrstuvwxyz",
            with_start=True,
            with_end=True,
        ),
        glrm=dict(num_layers=1, ffn_dim=64),
        with_mask=True,
        module_loss=dict(type="CPAModuleLoss", letter_case="lower"),
        postprocessor=dict(type="CPAPostprocessor"),
    ),
)
"""


@pytest.mark.parametrize(
    "text", [pytest.param(INHERITS_LPV, marks=needs_installation), INHERITS_MMOCR]
)
def test_inheriting_config_trains_a_step(text, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with LMDBWriter(tmp_path / "words") as writer:
        for number, label in enumerate(("one", "Two2")):
            image = np.random.default_rng(number).integers(0, 255, (20, 60, 3), np.uint8)
            writer.write(cv2.imencode(".png", image)[1].tobytes(), label)
    (tmp_path / "mine.py").write_text(text + ONE_STEP.format(words=str(tmp_path / "words")))
    config = Config.fromfile(tmp_path / "mine.py")
    config.work_dir = str(tmp_path / "work")
    runner = Runner.from_cfg(config)
    runner.model.init_weights()
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    runner.train()
    after = dict(runner.model.named_parameters())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {name.partition(".")[0] for name in changed} >= {"decoder"}
    assert any(not name.startswith("decoder") for name in changed), "the features learn too"
    assert all(value.isfinite().all() for value in after.values())
