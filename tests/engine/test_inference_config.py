"""Tests that inferencers build only what reading needs of the config inside a checkpoint."""

from __future__ import annotations

import contextlib
import importlib.util
import pickle
import re
from pathlib import Path

from lpv_mmocr.engine.config_text import ConfigTextError
from lpv_mmocr.engine.inference_config import inference_config, restricted_config
from lpv_mmocr.reading import WordReader

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.apis import TextRecInferencer
from mmocr.registry import MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[2] / "configs" / "textrecog" / "lpv"
TOY = CONFIGS / "lpv-toy_digits.py"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_entries_needed_for_reading_are_kept(path):
    ran = Config.fromfile(path).to_dict()
    kept = restricted_config("\n".join(f"{name} = {value!r}" for name, value in ran.items()))
    assert repr(kept["model"]) == repr(ran["model"])
    pipeline = ran["test_dataloader"]["dataset"].get("pipeline", ran["test_pipeline"])
    assert repr(kept["test_dataloader"]) == repr(dict(dataset=dict(pipeline=pipeline)))
    assert kept["visualizer"] == {**ran["visualizer"], "vis_backends": None}
    assert kept["default_scope"] == "mmocr"
    assert "train_dataloader" not in kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model = dict(type='LPV', norm_cfg=dict(type='BN'), padding_mode='reflect', name=None)",
        "model = dict(type='LPV', init_cfg=dict(type='Pretrained', checkpoint='https://a.org/x'))",
        "model = dict(type='mmocr.DBNet', backbone=dict(type='mmdet.ResNet', depth=50))",
        "model = dict(decoder=dict(dictionary=dict(dict_file='/home/me/test.txt', type='LPV')))",
        "model = dict(prefix='no_such_module.x', _scope_='mmdet')",
        "test_dataloader = dict(collate_fn=dict(type='pseudo_collate'))",
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='mmocr.PadToWidth')]))",
        "test_pipeline = [dict(type='LoadWordImage'), dict(type='WordLook', turn=10)]",
        "test_pipeline = [dict(type='LoadImageFromFile', file_client_args=dict(backend='disk'))]",
        # Entries that are not built for reading have no effect.
        "train_dataloader = dict(pipeline=[dict(type='ConditionApply', condition='open(1)')])",
        "test_dataloader = dict(dataset=dict(ann_file='http://a.org/x.pkl', type='os.system'))",
        "visualizer = dict(vis_backends=[dict(type='WandbVisBackend', save_dir='/home')])",
    ],
)
def test_harmless_configs_are_accepted(text):
    restricted_config(text)


def test_only_the_pipeline_of_a_dataset_is_kept():
    text = "test_dataloader = dict(batch_size=1, dataset=dict(type='OCRDataset', pipeline=[]))"
    assert restricted_config(text) == dict(test_dataloader=dict(dataset=dict(pipeline=[])))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("model = dict(type='subprocess.getoutput', cmd='ls')", "model.type = 'subprocess."),
        ("model = {'b': [{'type': 'os.system'}]}", "model.b[0].type = 'os.system'"),
        ("model = {'b': ({'type': 'os.system'},)}", "model.b[0].type = 'os.system'"),
        ("model = dict(**{'type': 'os.system'})", "model.type = 'os.system'"),
        ("model = dict(**{'type': 'LPV'}, **dict(type='os.system'))", "model.type = 'os.system'"),
        ("model = {'x.init_cfg': dict(type='os.system')}", "model.x.init_cfg.type"),
        ("a = 1\nmodel = visualizer = dict(type='os.system')", "model.type = 'os.system'"),
        ("model = dict(type='mmengine.load', file='x.pkl')", "model.type"),
        ("model = dict(type='mmocr.utils.Thing')", "model.type"),
        ("model = dict(type='mmdet.models.task_modules.AppearanceFreeLink')", "model.type"),
        ("model = dict(type='nms if open(1) else 2')", "model.type"),
        ("model = dict(type='mmengine.MMLogger', name='x', log_file='.bashrc')", "model.type"),
        ("model = dict(type='mmengine.Config')", "model.type"),
        ("model = dict(type='mmengine.MemcachedBackend')", "model.type"),
        ("model = dict(type='torch.Tensor')", "model.type"),
        ("model = dict(type='brought_along.Net')", "model.type"),
        ("model = dict(type='NeverHeardOf')", "model.type = 'NeverHeardOf'"),
        ("model = dict(type='os.LPV')", "model.type = 'os.LPV'"),
        ("model = dict(type='LPV', _scope_='antigravity')", "model._scope_"),
        ("model = dict(type='mmdet.BertModel', name='evil/repository')", "model.type"),
        ("model = dict(type='LAD', teacher_ckpt='x.pth')", "model.type = 'LAD'"),
        ("model = dict(type='KnowledgeDistillationSingleStageDetector')", "model.type"),
        ("model = dict(padding_mode='LAD', padding='a')", "model.padding_mode = 'LAD'"),
        ("model = dict(padding_mode='os.system')", "model.padding_mode = 'os.system'"),
        ("model = dict(padding_mode='json.json')", "model.padding_mode = 'json.json'"),
        ("model = dict(any_other=['json.tool.x'])", "model.any_other[0] = 'json.tool.x'"),
        ("model = dict(checkpoint='http://a.org/x.pth')", "model.checkpoint = 'http://a.org/x"),
        ("model = dict(dictionary=dict(dict_file='http://a.org/x.txt'))", "dict_file = 'http"),
        ("visualizer = dict(type='LocalVisBackend')", "visualizer.type"),
        ("visualizer = dict(save_dir='/home')", "visualizer.save_dir"),
        ("test_dataloader = dict(collate_fn=dict(type='json.tool.X'))", "collate_fn.type"),
        ("test_dataloader = dict(collate_fn='antigravity.x')", "test_dataloader.collate_fn"),
        ("test_dataloader = dict(collate_fn=dict(type='BaseDetDataset'))", "collate_fn.type"),
        # A part that is no identifier is an error, but only after the part before it is imported.
        ("test_dataloader = dict(collate_fn='antigravity.0')", "test_dataloader.collate_fn"),
        ("model = dict(any_other='this.0')", "model.any_other = 'this.0'"),
        ("model = dict(any_other='ctypes.cdll./tmp/evil')", "model.any_other = 'ctypes.cdll"),
        ("model = dict(dictionary=dict(dict_file='//host/share/x'))", "dict_file = '//host"),
        (r"model = dict(dictionary=dict(dict_file='\\\\host\\share\\x'))", "dict_file = "),
        ("model = dict(type='FSDP')", "model.type"),
        # Registered only when they are first used.
        ("model = dict(type='FSDPStrategy')", "model.type = 'FSDPStrategy'"),
        ("model = dict(any_other='ZeroRedundancyOptimizer')", "model.any_other = 'Zero"),
        ("model = dict(any_other='mmengine.FSDPStrategy')", "model.any_other = 'mmengine"),
        ("model = dict(padding_mode='MMFullyShardedDataParallel')", "model.padding_mode = 'MM"),
    ],
)
def test_configs_that_do_more_than_reading_are_refused(text, place):
    with pytest.raises(ConfigTextError, match=re.escape(place)):
        restricted_config(text)


@pytest.mark.parametrize(
    ("transform", "place"),
    [
        ("dict(type='ConditionApply', condition='open(1)', true_transforms=[])", "type"),
        ("dict(type='mmocr.ConditionApply', true_transforms=[])", "type"),
        ("dict(type='ImgAugWrapper', args=[['SaveDebugImageEveryNBatches', '/', 1]])", "type"),
        ("dict(type='mmcv.KeyMapper', transforms=[])", "type"),
        ("dict(type='PackTextRecogInputs', more=[dict(type='KeyMapper')])", "more[0].type"),
        ("dict(type='RescaleToHeight', resize_type='ConditionApply')", "resize_type"),
        ("dict(type='RescaleToHeight', resize_type='this.')", "resize_type"),
        ("dict(type='LoadImageFromFile', backend_args=dict(backend='http'))", "backend_args"),
        ("dict(type='LoadImageFromFile', file_client_args=dict(prefix='s3'))", "file_client_args"),
        ("dict(type='Resize', backend_args=dict(backend='local', sys_path='.'))", "backend_args"),
    ],
)
def test_transforms_that_no_test_needs_are_refused(transform, place):
    pipeline = f"[dict(type='Resize'), {transform}]"
    for text, before in (
        (f"test_dataloader = dict(dataset=dict(pipeline={pipeline}))", "test_dataloader.dataset."),
        (f"test_pipeline = {pipeline}", "test_"),
    ):
        with pytest.raises(ConfigTextError, match=re.escape(f"{before}pipeline[1].{place} = ")):
            restricted_config(text)


def test_registered_custom_classes_are_accepted(monkeypatch):
    class OwnTransform:
        pass

    monkeypatch.setitem(TRANSFORMS.module_dict, "OwnTransform", OwnTransform)
    text = "test_pipeline = [dict(type='OwnTransform', size=3)]"
    assert restricted_config(text) == dict(test_pipeline=[dict(type="OwnTransform", size=3)])


def run_by_substitution(cfg: Config, marker: Path) -> str:
    # Without the characters that MMEngine's placeholder drops, so that it is valid Python.
    call = f"__import__('pathlib').Path('{marker}').touch()"
    name = f"$NOT_SET:{re.sub('[()]', '', call)}"
    return f"# {{{{$NOT_SET:{call}}}}}\nx = {{{{{name!r}}}}}\n{cfg.pretty_text}"


def run_by_condition(cfg: Config, marker: Path) -> str:
    step = dict(type="ConditionApply", condition=f"open({str(marker)!r}, 'w')", true_transforms=[])
    cfg.test_dataloader.dataset.pipeline.insert(0, step)
    return cfg.pretty_text


def run_by_type(cfg: Config, marker: Path) -> str:
    cfg.model.data_preprocessor = dict(type="subprocess.getoutput", cmd=f"touch {marker}")
    return cfg.pretty_text


def run_by_pairs(cfg: Config, marker: Path) -> str:
    pairs = [["type", "subprocess.getoutput"], ["cmd", f"touch {marker}"]]
    return f"{cfg.pretty_text}\nmodel = dict({pairs!r})\n"


def run_by_collate_fn(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.test_dataloader.collate_fn = "brought_along.x"
    return cfg.pretty_text


def run_by_name(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.model.data_preprocessor = dict(type="brought_along")
    return cfg.pretty_text


def run_by_other_scope(cfg: Config, marker: Path) -> str:
    """MMEngine looks it up in the scope, without the scope's name."""
    (marker.parent / "Brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.model.data_preprocessor = dict(type="mmdet.Brought_along")
    return cfg.pretty_text


def run_by_bytes(cfg: Config, marker: Path) -> str:
    condition = f"open({str(marker)!r}, 'w')".encode()
    step = dict(type="ConditionApply", condition=condition, true_transforms=[])
    cfg.test_dataloader.dataset.pipeline.insert(0, step)
    return cfg.pretty_text


def run_by_padding(cfg: Config, marker: Path) -> str:
    cfg.model.data_preprocessor = dict(
        type="ConvModule",
        in_channels=1,
        out_channels=1,
        kernel_size=1,
        padding_mode="os.system",
        padding=f"touch {marker}",
    )
    return cfg.pretty_text


def run_by_resize(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    step = dict(type="RandomChoiceResize", scales=[1], resize_type="brought_along.x")
    cfg.test_dataloader.dataset.pipeline.insert(0, step)
    return cfg.pretty_text


def run_by_log(cfg: Config, marker: Path) -> str:
    """Write text that the checkpoint chooses into a file that it chooses."""
    cfg.model.data_preprocessor = dict(
        type="mmengine.MMLogger", name="x", logger_name="text", log_file=str(marker)
    )
    return cfg.pretty_text


def run_by_client(cfg: Config, marker: Path) -> str:
    (marker.parent / "mc.py").write_text(f"open({str(marker)!r}, 'w')")
    client = dict(server_list_cfg="", client_cfg="", sys_path=str(marker.parent))
    cfg.model.data_preprocessor = dict(type="mmengine.MemcachedBackend", **client)
    return cfg.pretty_text


def run_by_address(cfg: Config, marker: Path) -> str:
    """Download from an address that the checkpoint chooses, instead of loading the image."""
    load = dict(type="LoadImageFromFile", ignore_empty=True)
    mapping = dict(img_path="address")
    step = dict(type="KeyMapper", mapping=mapping, transforms=[load], auto_remap=False)
    cfg.test_dataloader.dataset.pipeline.insert(0, step)
    return cfg.pretty_text


def run_by_key(cfg: Config, marker: Path) -> str:
    """MMEngine treats None as an ordinary key and keeps the entries before it."""
    step = dict(type="subprocess.getoutput", cmd=f"touch {marker}")
    loader = {"dataset": {"pipeline": [step]}, None: {"dataset": {}}}
    return f"{cfg.pretty_text}\ntest_dataloader = {loader!r}\n"


def run_by_motion(cfg: Config, marker: Path) -> str:
    """A class of MMDetection, built by another one, evaluates its argument."""
    coder = dict(type="mmdet.CameraMotionCompensation", warp_mode=f"open({str(marker)!r}, 'w')")
    cfg.model.data_preprocessor = dict(
        type="mmdet.AnchorHead", num_classes=1, in_channels=1, bbox_coder=coder
    )
    return cfg.pretty_text


def run_by_import(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.custom_imports = dict(imports=["brought_along"], allow_failed_imports=False)
    return cfg.pretty_text


def run_by_scope(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.model["_scope_"] = "brought_along"
    return cfg.pretty_text


def run_by_no_identifier(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.test_dataloader.collate_fn = "brought_along.0"
    return cfg.pretty_text


ATTACKS = [
    *(run_by_substitution, run_by_condition, run_by_type, run_by_pairs, run_by_motion, run_by_key),
    *(run_by_import, run_by_scope, run_by_collate_fn, run_by_log, run_by_client, run_by_bytes),
    *(run_by_padding, run_by_resize, run_by_address, run_by_name, run_by_other_scope),
    run_by_no_identifier,
]


def hostile(attack, tmp_path: Path, marker: Path) -> Path:
    init_default_scope("mmocr")
    cfg = Config.fromfile(TOY)
    model = MODELS.build(cfg.model)
    weights = tmp_path / "weights.pth"
    content = dict(meta=dict(cfg=attack(cfg, marker)), state_dict=model.state_dict())
    torch.save(content, weights)
    return weights


@pytest.mark.parametrize("attack", ATTACKS)
def test_reading_runs_no_code_from_the_config_inside(tmp_path, monkeypatch, attack):
    """End to end: only weights are given, whose config tries to run code."""
    marker = tmp_path / "ran"
    monkeypatch.syspath_prepend(tmp_path)
    weights = hostile(attack, tmp_path, marker)
    with pytest.raises(ValueError, match=r"has no config inside|more than read words"):
        WordReader(weights, device="cpu").read(np.zeros((32, 100, 3), np.uint8))
    with pytest.raises(ValueError, match=r"find the config|more than read words"):
        TextRecInferencer(weights=str(weights), device="cpu")
    assert not marker.exists()


def test_config_of_the_message_hub_precedes_that_of_the_meta_data():
    text = "model = dict(type='LPV', n={})\ntest_dataloader = dict(dataset=dict(pipeline=[]))"
    checkpoint = dict(
        meta=dict(cfg=text.format(1)), message_hub=dict(runtime_info=dict(cfg=text.format(2)))
    )
    assert inference_config(checkpoint, "a.pth")["model"]["n"] == 2


def test_config_without_test_data_is_refused(tmp_path):
    weights = hostile(lambda cfg, marker: f"model = {cfg.model.to_dict()}", tmp_path, tmp_path)
    with pytest.raises(ValueError, match="it has no test_dataloader"):
        TextRecInferencer(weights=str(weights), device="cpu")


@pytest.mark.parametrize("text", ["", "train_cfg = dict(max_iters=1)"])
def test_config_without_a_model_is_refused(tmp_path, text):
    weights = hostile(lambda cfg, marker: text, tmp_path, tmp_path)
    with pytest.raises(ValueError, match="it has no model"):
        TextRecInferencer(weights=str(weights), device="cpu")


@pytest.mark.parametrize("attack", [run_by_no_identifier, run_by_collate_fn, run_by_resize])
def test_registries_import_no_modules_named_by_a_config(tmp_path, monkeypatch, attack):
    """Second line of defence: if a config is accepted, the modules it names are not imported."""
    marker = tmp_path / "ran"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("lpv_mmocr.engine.inference_config._is_harmless", lambda *leaf: True)
    weights = hostile(attack, tmp_path, marker)
    with contextlib.suppress(Exception):
        TextRecInferencer(weights=str(weights), device="cpu")
    assert not marker.exists()


class Program:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_no_dataset_is_built(tmp_path):
    """MMDetection's inferencer would build the test dataset, whose labels may be a pickle."""
    marker = tmp_path / "ran"
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps(Program(marker)))

    def attack(cfg: Config, marker: Path) -> str:
        labels = dict(type="BaseDetDataset", ann_file=str(tmp_path / "labels.pkl"), pipeline=[])
        cfg.test_dataloader.dataset.update(type="ConcatDataset", datasets=[labels])
        return cfg.pretty_text

    weights = hostile(attack, tmp_path, marker)
    with contextlib.suppress(Exception):
        DetInferencer(weights=str(weights), device="cpu")
    assert not marker.exists()
    assert WordReader(weights, device="cpu").read(np.zeros((32, 100, 3), np.uint8))


@pytest.mark.parametrize("name", ["train", "read", "test", "code"])
def test_files_named_like_a_script_are_accepted(name, monkeypatch):
    """Python looks for modules in a script's folder first, so "train" can be imported."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    cfg = Config.fromfile(TOY)
    cfg.train_dataloader.dataset.ann_file = cfg.test_dataloader.dataset.ann_file = f"{name}.json"
    cfg.test_dataloader.dataset.data_prefix = dict(img_path=f"{name}.images")
    cfg.model.decoder.dictionary = dict(type="Dictionary", dict_file=f"{name}.txt")
    assert restricted_config(cfg.pretty_text)


def test_folder_named_like_a_class_is_harmless(tmp_path, monkeypatch):
    """Such as the authors' code in the current folder."""
    (tmp_path / "LPV").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert restricted_config("model = dict(type='LPV')")


def test_recognisers_and_detectors_of_mmocr_are_accepted():
    """Except Mask R-CNN, which is MMDetection's."""
    configs = Path(importlib.util.find_spec("mmocr").origin).parent / ".mim" / "configs"
    taken = refused = 0
    for path in sorted(configs.glob("text*/*/*.py")):
        with contextlib.suppress(Exception):  # some do not load
            config = Config.fromfile(path, import_custom_modules=False)
            text = "\n".join(f"{name} = {config[name]!r}" for name in config)
            if config.get("model"):
                try:
                    restricted_config(text)
                    taken += 1
                except ConfigTextError as error:
                    assert "maskrcnn" in path.parent.name or "mask-rcnn" in path.name, error
                    refused += 1
    assert taken > 40 and refused < 8
