"""Tests of refusing config entries that have no effect."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr.cli import load_run_config
from lpv_mmocr.ineffective_entries import refuse_ineffective_lines, refuse_ineffective_options

import pytest
from mmengine.config import Config

ZOO = Path(__file__).parents[1] / "configs" / "textrecog" / "lpv"
LEAF, OWN, TOY = "lpv-tiny_stage2_10e_st_mj.py", "lpv-tiny_own_data.py", "lpv-toy_own_data.py"
MINI = "lpv-mini_own_data.py"


@pytest.mark.parametrize(
    ("name", "option", "meant"),
    [
        (LEAF, dict(data_root="/x"), ["val_dataloader.dataset.data_root"]),
        (LEAF, dict(max_iters=1000), ["train_cfg.max_iters"]),
        (LEAF, dict(lr=1e-3), ["optim_wrapper.optimizer.lr"]),
        (OWN, dict(max_iters=1000), ["train_cfg.max_iters", "param_scheduler.0.total_steps"]),
        (
            TOY,
            dict(held_out=20),
            ["dataset.hold_out", "val_dataloader.dataset.indices"],
        ),
    ],
)
def test_option_without_effect_is_refused(name, option, meant):
    with pytest.raises(ValueError, match="has no effect") as error:
        refuse_ineffective_options(Config.fromfile(ZOO / name), option)
    for key in meant:
        assert key in str(error.value)


def test_config_dumped_by_a_training_run_is_accepted(tmp_path):
    """Its top-level entries were used when the inherited configs were merged into it."""
    cfg = Config.fromfile(ZOO / OWN)
    cfg.merge_from_dict({"train_cfg.max_iters": 2000, "param_scheduler.0.total_steps": 2000})
    cfg.dump(tmp_path / OWN)
    copy = Config.fromfile(tmp_path / OWN)
    assert copy.max_iters != 2000
    refuse_ineffective_lines(copy)


@pytest.mark.parametrize(
    "options",
    [
        {"load_from": "x.pth"},
        {"log_level": "ERROR"},
        {"train_cfg.max_iters": 1000},
        # Setting both is intentional.
        {"max_iters": 1000, "train_cfg.max_iters": 1000},
        {"find_unused_parameters": True},
        {"something_of_my_own": 3},
    ],
)
def test_option_with_an_effect_is_accepted(options):
    refuse_ineffective_options(Config.fromfile(ZOO / OWN), options)


@pytest.mark.parametrize(
    ("base", "line", "meant"),
    [
        (
            LEAF,
            "data_root = '/x'",
            "test_dataloader.dataset.data_root, or the variable LPV_DATA_ROOT",
        ),
        # A value that is part of other entries, and one from which none is derived.
        (LEAF, "data_root = 'training'", "test_dataloader.dataset.data_root"),
        (LEAF, "max_iters = 1000", "Set train_cfg.max_iters"),
        (TOY, "dictionary = dict(characters='abc')", "Set model.decoder.dictionary"),
        (TOY, "train_pipeline = [dict(type='X')]", "Set train_dataloader.dataset.pipeline"),
        (TOY, "test_pipeline = [dict(type='X')]", "val_dataloader.dataset.pipeline"),
        (TOY, "resize = dict(scale=(160, 32))", "train_dataloader.dataset.pipeline.2"),
        (TOY, "held_out = 50", ".hold_out"),
        (TOY, "resize = dict(_delete_=True, type='Resize', scale=(64, 32))", "pipeline.2"),
        (TOY, "resize = dict(_delete_=True, type='Resize', backend='pillow')", "pipeline.2"),
        # Values that other entries happen to have.
        (OWN, "max_iters = 500", "train_cfg.max_iters"),
        (OWN, "max_iters = 96", "train_cfg.max_iters"),
        (TOY, "held_out = 20", ".hold_out"),
        (MINI, "mini_model = dict(decoder=dict(with_mask=False))", "Set model"),
    ],
)
def test_line_without_effect_is_refused(tmp_path, base, line, meant):
    file = tmp_path / "mine.py"
    file.write_text(f"_base_ = {str(ZOO / base)!r}\n{line}\n")
    # The message shows the value if it is short.
    name = line.partition(" = ")[0] if "(" in line else line
    with pytest.raises(ValueError, match=rf"^{name} in .*mine\.py has no effect: .*Set ") as error:
        refuse_ineffective_lines(Config.fromfile(file))
    assert meant in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("train_dataloder", "train_dataloader"),
        ("optim_wraper", "optim_wrapper"),
        ("load_form", "load_from"),
        ("custom_hook", "custom_hooks"),
    ],
)
def test_misspelt_section_is_refused(tmp_path, name, meant):
    file = tmp_path / "mine.py"
    file.write_text(f"_base_ = {str(ZOO / LEAF)!r}\n{name} = dict(batch_size=8)\n")
    message = rf"^{name} in .*mine\.py has no effect: .* Did you mean {meant}\?$"
    with pytest.raises(ValueError, match=message):
        refuse_ineffective_lines(Config.fromfile(file))


@pytest.mark.parametrize(
    "lines",
    [
        "max_iters = 1000\ntrain_cfg = dict(max_iters=max_iters)",
        "max_iters = 1000\ntrain_cfg = dict(max_iters=max_iters * 2)",
        "data_root = '/x'\nval_dataloader = dict(dataset=dict(data_root=data_root))",
        "data_root = '/x'\nval_dataloader = dict(dataset=dict(ann_file=f'{data_root}/y'))",
        "train_cfg = dict(max_iters=1000)",
        "dictionary = dict(characters='abc')\nmodel = dict(decoder=dict(dictionary=dictionary))",
        "dictionary = {{_base_.dictionary}}",  # unchanged
        "pack = dict(type='X')\ntrain_dataloader = dict(dataset=dict(pipeline=[pack]))",
        "tta_model = dict(type='X')",
        "mine = dict(a=1)",
        "max_iters = 500\ntrain_cfg = dict(max_iters=500)",
        "resize = dict(scale=(160, 32))\n"
        "train_dataloader = dict(dataset=dict(_delete_=True, type='X', pipeline=[resize]))",
        "train_dataset = dict(a=1)",
    ],
)
def test_line_with_an_effect_is_accepted(tmp_path, lines):
    file = tmp_path / "mine.py"
    file.write_text(f"_base_ = {str(ZOO / LEAF)!r}\n{lines}\n")
    refuse_ineffective_lines(Config.fromfile(file))


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.py")), ids=lambda path: path.name)
def test_bundled_configs_have_no_idle_lines(path):
    refuse_ineffective_lines(Config.fromfile(path))


def test_options_may_override_derived_entries():
    path = str(ZOO / "lpv-tiny_own_data.py")
    options = {"train_cfg.max_iters": 50, "param_scheduler.0.total_steps": 50}
    args = SimpleNamespace(config=path, cfg_options=options, work_dir=None, launcher="none")
    assert load_run_config(args).train_cfg.max_iters == 50
