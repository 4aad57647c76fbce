"""Configs inside checkpoints are data, or are left out."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from pathlib import Path

from lpv_mmocr.engine import load_checkpoint
from lpv_mmocr.engine.config_text import code_in_config
from lpv_mmocr.reading import WordReader

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

ZOO = sorted((Path(__file__).parents[2] / "configs" / "textrecog" / "lpv").glob("[!_]*.py"))


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_what_mmengine_writes_is_data(path):
    assert code_in_config(Config.fromfile(path).pretty_text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a = 1",
        "a = -1.5e-3\nb = dict(c=[1, (2, 'x'), {'d': None}], e={1, 2})",
        "model = dict(\n    type='LPV',\n    **{'odd key': True})",
        "a = [dict(type='mmdet.MultiSourceSampler'), dict(type='only_item'), dict(type=None)]",
        "custom_imports = dict(allow_failed_imports=False, imports=['lpv_mmocr', 'mmdet.models'])",
        "custom_imports = {'imports': 'pytest'}",  # imported already
        "model = [dict(type='mmcv.Resize', backend='pillow'), dict(type='NeverHeardOf')]",
        "model = dict(type='pytest.Net', warp_mode='cv2.MOTION_EUCLIDEAN', teacher_config=dict())",
        "model = dict(out='no_such_module.x', prefix='a.b.c', padding_mode='reflect')",
        "test_dataloader = dict(collate_fn=dict(type='pseudo_collate'), backend_args=None)",
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='mmocr.PadToWidth')]))",
        "test_dataloader = dict(pipeline=[dict(type='LoadWordImage'), dict(type='NeverHeardOf')])",
        "test_dataloader = dict(pipeline=[dict(type='Resize', backend_args={'backend': 'local'})])",
        "default_scope = 'mmocr'\nmodel = dict(type='LPV', _scope_='mmdet')",
        "model = dict(type='LPV', _scope_=None)",
        # What nobody builds who reads leads nowhere.
        "train_dataloader = dict(pipeline=[dict(type='ConditionApply', condition='open(1)')])",
        "test_dataloader = dict(dataset=dict(ann_file='test.txt', data_root='code.data'))",
        "model = dict(decoder=dict(dictionary=dict(dict_file='test.txt')))",
        "",
    ],
)
def test_data(text):
    assert code_in_config(text) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("import os", "line 1: import os"),
        ("a = 1\nb = __import__('os')", "line 2: __import__('os')"),
        ("a = dict(b=[open('x', 'w')])", "line 1: open('x', 'w')"),
        ("a = dict(b=dict.__subclasses__)", "dict.__subclasses__"),
        ("a = {dict.__subclasses__: 1}", "dict.__subclasses__"),
        ("a = [x for x in (1, 2)]", "[x for x in (1, 2)]"),
        ("a = f'{1}'", "f'{1}'"),
        ("a = lambda: 1", "lambda"),
        ("a = dict(b=dict(c=eval('1')))", "eval('1')"),
        ("a = dict(dict(b=1))", "dict(dict(b=1))"),
        ("a = dict([['type', 'os.system']])", "dict([['type', 'os.system']])"),
        ("a = {**vars()}", "vars()"),
        ("_base_ = 'elsewhere.py'", "another file"),
        ("a = _base_ = 'elsewhere.py'", "another file"),
        ("a.b = 1", "a.b = 1"),
        ("print(1)", "print(1)"),
        ("a = (", "SyntaxError"),
        ("a = {[]: 1}", "TypeError"),
        ("# {{$X:__import__('os')}}\na = {{'$X:__import__os'}}", "{{"),
        ("model = dict(type='subprocess.getoutput', cmd='ls')", "model.type = 'subprocess."),
        ("model = {'b': [{'type': 'os.system'}]}", "model.b[0].type = 'os.system'"),
        ("model = dict(**{'type': 'os.system'})", "model.type = 'os.system'"),
        ("model = dict(**{'type': 'A'}, **dict(type='os.system'))", "model.type = 'os.system'"),
        ("a = 1\nmodel = visualizer = dict(type='os.system')", "model.type = 'os.system'"),
        ("model = dict(type='mmengine.load', file='x.pkl')", "model.type"),
        ("model = dict(type='mmocr.utils.Thing')", "model.type"),
        ("model = dict(type='nms if open(1) else 2')", "model.type"),
        ("model = dict(type='mmengine.MMLogger', name='x', log_file='.bashrc')", "model.type"),
        ("model = dict(type='mmengine.Config')", "model.type"),
        ("model = dict(type='mmengine.MemcachedBackend')", "model.type"),
        ("model = dict(type='torch.Tensor')", "model.type"),
        ("model = dict(type='brought_along.Net')", "model.type"),
        ("model = dict(type='LPV', _scope_='antigravity')", "model._scope_"),
        ("model = dict(warp_mode='results.__class__')", "model.warp_mode"),
        ("model = dict(warp_mode='cv2.MOTION_AFFINE or open(1)')", "model.warp_mode"),
        ("model = dict(padding_mode='os.system')", "model.padding_mode = 'os.system'"),
        ("model = dict(padding_mode='json.json')", "model.padding_mode = 'json.json'"),
        ("model = dict(any_other=['idlelib.idle.x'])", "model.any_other[0] = 'idlelib.idle.x'"),
        ("model = dict(teacher_config='note.py')", "model.teacher_config"),
        ("visualizer = dict(vis_backends=[dict(save_dir='/home')])", "vis_backends[0].save_dir"),
        ("test_dataloader = dict(collate_fn=dict(type='idlelib.idle.X'))", "collate_fn.type"),
        ("test_dataloader = dict(collate_fn='antigravity.x')", "test_dataloader.collate_fn"),
        ("test_dataloader = dict(backend_args=dict(backend='memcached'))", ".backend_args"),
        ("test_dataloader = dict(file_client_args=dict(prefix='s3'))", ".file_client_args"),
        ("test_dataloader = dict(backend_args=dict(backend='local', sys_path='.'))", "sys_path"),
        ("custom_imports = dict(imports=['lpv_mmocr', 'antigravity'])", "imports[1]"),
        ("custom_imports = {'imports': 'antigravity'}", "custom_imports.imports"),
        ("custom_imports = dict(imports=[['this']])", "imports[0][0] = 'this'"),
        ("default_scope = 'antigravity'", "default_scope"),
    ],
)
def test_code(text, place):
    assert place in code_in_config(text)


@pytest.mark.parametrize(
    "transform",
    [
        "dict(type='ConditionApply', condition='open(1)', true_transforms=[])",
        "dict(type='mmocr.ConditionApply', condition=b'open(1)', true_transforms=[])",
        "dict(type='ImgAugWrapper', args=[['SaveDebugImageEveryNBatches', '/home', 1]])",
        "dict(type='mmcv.KeyMapper', transforms=[])",
        "dict(type='PackTextRecogInputs', more=[dict(type='KeyMapper')])",
        "dict(type='RandomChoiceResize', scales=[1], resize_type='brought_along.x')",
    ],
)
def test_transform_that_no_test_needs(transform):
    text = f"test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize'), {transform}]))"
    assert "test_dataloader.dataset.pipeline[1]" in code_in_config(text)


def test_code_is_left_out_and_never_run(tmp_path):
    marker = tmp_path / "ran"
    program = f"open({str(marker)!r}, 'w')\nmodel = dict(type='LPV')\n"
    content = dict(
        meta=dict(cfg=program, config=program, seed=1),
        message_hub=dict(
            # What a run that resumes deletes in favour of a better one.
            runtime_info=dict(
                cfg=program, best_ckpt=str(tmp_path), best_ckpt_a="/elsewhere/best_a.pth"
            ),
            log_scalars={},
            resumed_keys={},
        ),
        state_dict=dict(weight=torch.zeros(1)),
    )
    torch.save(content, tmp_path / "hostile.pth")
    checkpoint = load_checkpoint(tmp_path / "hostile.pth")
    assert checkpoint["meta"] == dict(seed=1)
    assert checkpoint["message_hub"]["runtime_info"] == dict(best_ckpt_a="/elsewhere/best_a.pth")
    assert "weight" in checkpoint["state_dict"]
    assert not marker.exists()


TOY = ZOO[0].parent / "lpv-toy_digits.py"


def run_by_substitution(cfg: Config, marker: Path) -> str:
    # Without the signs that MMEngine's own placeholder drops, so that the text is valid Python.
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
    """MMEngine looks for it in the scope, and there without the scope's name."""
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
    """Writes text of the checkpoint's choice into a file of its choice."""
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
    """Fetches what is at an address of the checkpoint's choice, instead of the picture."""
    load = dict(type="LoadImageFromFile", ignore_empty=True)
    mapping = dict(img_path="address")
    step = dict(type="KeyMapper", mapping=mapping, transforms=[load], auto_remap=False)
    cfg.test_dataloader.dataset.pipeline.insert(0, step)
    return cfg.pretty_text


def run_by_import(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.custom_imports = dict(imports=["brought_along"], allow_failed_imports=False)
    return cfg.pretty_text


def run_by_scope(cfg: Config, marker: Path) -> str:
    (marker.parent / "brought_along.py").write_text(f"open({str(marker)!r}, 'w')")
    cfg.model["_scope_"] = "brought_along"
    return cfg.pretty_text


@pytest.mark.parametrize(
    "attack",
    [
        *(run_by_substitution, run_by_condition, run_by_type, run_by_pairs),
        *(run_by_import, run_by_scope, run_by_collate_fn, run_by_log, run_by_client, run_by_bytes),
        *(run_by_padding, run_by_resize, run_by_address),
    ],
)
def test_reading_with_the_config_inside_runs_nothing(tmp_path, monkeypatch, attack):
    """The whole way: weights alone, whose config tries to run something."""
    init_default_scope("mmocr")
    cfg = Config.fromfile(TOY)
    model, marker = MODELS.build(cfg.model), tmp_path / "ran"
    monkeypatch.syspath_prepend(tmp_path)
    text = attack(cfg, marker)
    weights = tmp_path / "weights.pth"
    torch.save(dict(meta=dict(cfg=text), state_dict=model.state_dict()), weights)
    with pytest.raises(ValueError, match="has no config inside"):
        WordReader(weights, device="cpu").read(np.zeros((32, 100, 3), np.uint8))
    assert not marker.exists()


@pytest.mark.parametrize("attack", [run_by_name, run_by_other_scope])
def test_a_name_that_is_not_registered_is_not_imported(tmp_path, monkeypatch, attack):
    init_default_scope("mmocr")
    cfg = Config.fromfile(TOY)
    model, marker = MODELS.build(cfg.model), tmp_path / "ran"
    monkeypatch.syspath_prepend(tmp_path)
    weights = tmp_path / "weights.pth"
    torch.save(dict(meta=dict(cfg=attack(cfg, marker)), state_dict=model.state_dict()), weights)
    with pytest.raises(KeyError, match=r"is not in the .* registry"):
        WordReader(weights, device="cpu")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["train", "read", "test", "code"])
def test_files_called_as_a_command_is(name, monkeypatch):
    """As a script's folder is where Python looks for modules first, "train" can be imported."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    cfg = Config.fromfile(TOY)
    cfg.train_dataloader.dataset.ann_file = cfg.test_dataloader.dataset.ann_file = f"{name}.json"
    cfg.test_dataloader.dataset.data_prefix = dict(img_path=f"{name}.pictures")
    assert code_in_config(cfg.pretty_text) is None


def test_a_folder_that_is_called_as_a_class_is(tmp_path, monkeypatch):
    """Such as the authors' code in the folder where one reads."""
    (tmp_path / "LPV").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert code_in_config("model = dict(type='LPV')") is None


def zoo_of(package: str) -> list[Path]:
    """Configs that come with an OpenMMLab package, parts of configs included."""
    return sorted(
        Path(importlib.util.find_spec(package).origin).parent.glob(".mim/configs/**/*.py")
    )


@pytest.mark.parametrize(("package", "every"), [("mmocr", 2), ("mmdet", 12)])
def test_configs_of_openmmlab_are_data(package, every):
    """But those with models of a package that is not there, and those with a teacher."""
    codes = {}
    for path in zoo_of(package)[::every]:
        with contextlib.suppress(Exception):  # some do not load
            config = Config.fromfile(path, import_custom_modules=False)
            codes[path] = code_in_config("\n".join(f"{name} = {config[name]!r}" for name in config))
    assert len(codes) > 50
    refused = [code for code in codes.values() if code is not None]
    assert not [code for code in refused if not re.search("mmpretrain|teacher_", code)]
    assert package == "mmdet" or not refused


def test_plain_config_stays(tmp_path):
    text = Config(dict(model=dict(type="LPV", depths=(1, 2)))).pretty_text
    torch.save(dict(meta=dict(cfg=text), state_dict={}), tmp_path / "plain.pth")
    assert load_checkpoint(tmp_path / "plain.pth")["meta"]["cfg"] == text
