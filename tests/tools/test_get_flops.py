"""Tests of ``tools/analysis_tools/get_flops.py``."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from lpv_mmocr_cli import add_config_options

ZOO = Path(__file__).parents[2] / "configs" / "textrecog" / "lpv"


# Multiply-accumulates counted independently of this implementation.
@pytest.mark.parametrize(
    ("config", "work", "parameters"),
    [
        ("lpv-tiny_stage2_10e_st_mj", 1.75, "8,109,842"),
        ("lpv-small_stage2_10e_st_mj", 3.06, "13,993,586"),
        ("lpv-base_stage2_10e_st_mj", 9.34, "35,132,610"),
        ("lpv-mini_own_data", 0.17, "2,857,234"),  # as in the docs; counted by this tool
    ],
)
def test_work_and_parameters_of_each_model_size(load_tool, capsys, config, work, parameters):
    tool = load_tool("analysis_tools/get_flops.py")
    assert tool.main([str(ZOO / f"{config}.py")]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert float(lines["work"].split()[0]) == pytest.approx(work, abs=0.01)
    assert lines["parameters"] == f"{parameters} trainable"


def test_example_options_of_the_help_work(load_tool, capsys):
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    (shown,) = re.findall(r"e\.g\. (.*)", " ".join(parser.format_help().split()))
    examples = shlex.split(shown)
    assert len(examples) == 2 and all("=" in example for example in examples)
    tool = load_tool("analysis_tools/get_flops.py")
    config = str(ZOO / "lpv-tiny_stage1_10e_st_mj.py")
    assert tool.main([config, "--cfg-options", *examples]) == 0
    assert "8,109,842" not in capsys.readouterr().out


def test_shape_is_required_without_an_image_size(load_tool, capsys):
    tool = load_tool("analysis_tools/get_flops.py")
    config = str(ZOO / "resnet31-cpa_own_data.py")
    assert tool.main([config, "--shape", "32", "64"]) == 0
    with pytest.raises(SystemExit, match="2"):
        tool.main([config])
    assert "give --shape HEIGHT WIDTH" in capsys.readouterr().err


def test_grey_images_have_one_channel(load_tool, capsys):
    tool = load_tool("analysis_tools/get_flops.py")
    config = "mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py"
    assert tool.main([config, "--shape", "32", "100"]) == 0
    assert "GMAC" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shape", "0", "-5"], "error: --shape needs two positive numbers, got 0 -5"),
        (
            ["--cfg-options", "model.encoder.img_size=32"],
            "error: img_size of the encoder must be height and width, got 32",
        ),
        (["--shape", "32", "0"], "error: --shape needs two positive numbers, got 32 0"),
        (["--cfg-options", "model.encoder.depths=3"], "error: LPVSVTREncoder cannot be built: "),
    ],
)
def test_bad_input_is_one_line(load_tool, capsys, options, said):
    tool = load_tool("analysis_tools/get_flops.py")
    with pytest.raises(SystemExit, match="2"):
        tool.main([str(ZOO / "lpv-tiny_stage1_10e_st_mj.py"), *options])
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
