"""Tests of ``official_to_mmocr.py`` on files in the format of the authors' code."""

from __future__ import annotations

import errno
import os
import string
import subprocess
import sys
from pathlib import Path

from lpv_mmocr.datasets.config_pipeline import steps_without_tta
from lpv_mmocr.engine import AtomicLocalBackend

import pytest
import torch
from lpv_cases import released_state_dict, word_sample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "model_converters" / "official_to_mmocr.py"


def _run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def tiny_state() -> dict[str, torch.Tensor]:
    return released_state_dict("tiny")


@pytest.fixture
def main(tool_in_process):
    return tool_in_process("model_converters/official_to_mmocr.py")


@pytest.mark.parametrize("prefix", ["", "module.", "bare"])
def test_converted_checkpoint_is_self_contained(main, tmp_path, tiny_state, prefix, capsys):
    state = tiny_state
    if prefix == "bare":
        state = {name.removeprefix("str_model."): value for name, value in state.items()}
    elif prefix:
        state = {prefix + name: value for name, value in state.items()}
    torch.save(state, tmp_path / "released.pth")
    assert main(tmp_path / "released.pth", tmp_path / "new" / "lpv.pth") == 0
    assert "8,109,842 trainable parameters" in capsys.readouterr().out

    checkpoint = torch.load(tmp_path / "new" / "lpv.pth", weights_only=True)
    cfg = Config.fromstring(checkpoint["meta"]["cfg"], file_format=".py")
    assert cfg.model.decoder.with_mask
    init_default_scope("mmocr")
    model = MODELS.build(cfg.model)
    model.load_state_dict(checkpoint["state_dict"], strict=True)
    # The rows are reordered from ([GO], [s], characters) to (characters, start, end).
    ours, theirs = model.decoder.classifiers[0].weight, tiny_state["str_model.cls.0.weight"]
    assert torch.equal(ours[:36], theirs[2:])
    assert torch.equal(ours[36:], theirs[:2])


def test_config_has_no_mask_and_the_image_size_of_the_weights(main, tmp_path, capsys):
    state = released_state_dict("base")
    torch.save(dict(state_dict=state), tmp_path / "released.pth")
    assert main(tmp_path / "released.pth", tmp_path / "lpv.pth", "--no-mask") == 0
    assert "35,132,610 trainable parameters" in capsys.readouterr().out
    checkpoint = torch.load(tmp_path / "lpv.pth", weights_only=True)
    cfg = Config.fromstring(checkpoint["meta"]["cfg"], file_format=".py")
    assert not cfg.model.decoder.with_mask
    steps = cfg.test_dataloader.dataset.pipeline
    assert [tuple(step.scale) for step in steps if step.type == "Resize"] == [(160, 48)]
    # Every part of the recipe prepares images of this size, test-time augmentation included.
    assert not steps_without_tta(steps, cfg.tta_pipeline)
    assert "100, 32" not in " ".join(checkpoint["meta"]["cfg"].split())


PREFIX = "str_model."


def _damaged(tiny_state, damage: str) -> object:
    state = dict(tiny_state)
    if damage == "missing":
        del state["str_model.attention.1.project.bias"]
    elif damage == "left over":
        state["str_model.head.weight"] = torch.zeros(3)
    elif damage == "foreign":
        state = {"conv1.weight": torch.zeros(3, 3)}
    elif damage == "no weights":
        state = {"epoch": 3}
    elif damage == "other mask":
        name = "str_model.backbone.blocks1.1.mixer.mask"
        state[name] = torch.zeros_like(state[name])
    elif damage == "characters":
        for stage in range(3):
            state[f"str_model.cls.{stage}.weight"] = torch.zeros(50, 256)
            state[f"str_model.cls.{stage}.bias"] = torch.zeros(50)
    return state


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "decoder.attentions.1.query.bias missing"),
        ("left over", "head.weight is left over"),
        ("foreign", "backbone.blocks1.0.mixer.mask is missing"),
        ("no weights", "holds no weights"),
        ("other mask", "backbone.blocks1.1.mixer.mask is not what a released LPV computes"),
        ("characters", "has 48 characters, but none are given"),
    ],
)
def test_foreign_and_damaged_files_are_named(main, tmp_path, tiny_state, damage, message, capsys):
    torch.save(_damaged(tiny_state, damage), tmp_path / "released.pth")
    assert main(tmp_path / "released.pth", tmp_path / "out.pth") == 2
    error = capsys.readouterr().err
    assert "released.pth" in error
    assert message in error
    assert not (tmp_path / "out.pth").exists()


def _without(state: dict, part: str) -> dict:
    return {name: value for name, value in state.items() if part not in name}


def _with(state: dict, name: str, change) -> dict:
    return {**state, PREFIX + name: change(state[PREFIX + name])}


def _refused(main, tmp_path, capsys, state: dict) -> str:
    """Return the error message for a state dict that the converter must reject."""
    torch.save(state, tmp_path / "released.pth")
    assert main(tmp_path / "released.pth", tmp_path / "out.pth") == 2
    assert not (tmp_path / "out.pth").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "backbone.blocks1.1.mixer.mask",
        "backbone.blocks2.0.mixer.mask",
        "attention.0.pos_encoder.pe",
        "attention.2.pos_encoder.pe",
        "trans.0.pos_encoder.pe",
        "trans.1.pos_encoder.pe",
        "backbone.pos_embed",
        "backbone.blocks1.0.norm1.weight",
        "cls.0.weight",
    ],
)
def test_missing_entry_is_named(main, tmp_path, tiny_state, name, capsys):
    error = _refused(main, tmp_path, capsys, _without(tiny_state, name))
    assert f"{name} is missing" in error


def test_missing_stage_is_named(main, tmp_path, tiny_state, capsys):
    error = _refused(main, tmp_path, capsys, _without(tiny_state, ".attention.2."))
    assert "attention.2.pos_encoder.pe is missing" in error


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("cls.1.weight", lambda v: v[:37], "(37, 256) instead of (38, 256)"),
        ("cls.1.weight", lambda v: v[0, 0], "() instead of (38, 256)"),
        ("cls.0.weight", lambda v: v[0, 0], "() instead of (any, any)"),
        ("cls.0.weight", lambda v: v[:1], "too few rows (1)"),
        ("backbone.blocks1.0.mlp.fc1.weight", lambda v: v[:99], "(99, 64) instead of (256, 64)"),
        ("attention.1.project.weight", lambda v: v[:, :100], "(256, 100) instead of (256, 256)"),
        ("attention.0.pos_encoder.pe", lambda v: v[:, 0], "(27, 256) instead of (any, 1, any)"),
        ("attention.0.pos_encoder.pe", lambda v: v[:2], "leaves no position"),
        ("attention.1.pos_encoder.pe", lambda v: v[:9], "(9, 1, 256) instead of (27, 1, 256)"),
        ("attention.1.pos_encoder.pe", lambda v: v[0, 0], "(256,) instead of (27, 1, 256)"),
        ("trans.1.pos_encoder.pe", lambda v: v[:20], "(20, 1, 256) instead of (200, 1, 256)"),
        ("backbone.pos_embed", torch.flatten, "(12800,) instead of (1, any, any)"),
        ("backbone.blocks1.0.mixer.mask", lambda v: v.repeat(2, 1, 1, 1), "(2, 1, 200, 200)"),
        ("backbone.blocks1.1.mixer.mask", lambda v: v.repeat(2, 1, 1, 1), "(2, 1, 200, 200)"),
        ("backbone.blocks2.0.mixer.mask", lambda v: v[0, 0], "(200, 200) instead of"),
        ("backbone.blocks1.0.norm1.weight", lambda v: v[:40], "not a multiple of 32"),
        ("trans.0.transformer.layers.0.linear1.weight", lambda v: v[0], "(256,) instead of"),
        ("backbone.norm.weight", lambda v: v * torch.nan, "values that are not finite"),
        ("backbone.norm.weight", lambda v: v.long(), "is torch.int64"),
        ("attention.1.pos_encoder.pe", lambda v: v * torch.nan, "values that are not finite"),
        ("backbone.blocks1.1.mixer.mask", lambda v: v * torch.nan, "not what a released LPV"),
    ],
)
def test_entry_of_wrong_shape_type_or_value_is_named(
    main, tmp_path, tiny_state, name, change, message, capsys
):
    error = _refused(main, tmp_path, capsys, _with(tiny_state, name, change))
    assert name in error
    assert message in error


def test_inconsistent_numbers_of_tokens_are_rejected(main, tmp_path, tiny_state, capsys):
    state = _with(tiny_state, "backbone.blocks2.0.mixer.mask", lambda v: v[..., :50, :50])
    assert "from 50 to 200 tokens" in _refused(main, tmp_path, capsys, state)
    # 20 divides 200, but 10 does not divide the 8 rows.
    state = _with(tiny_state, "trans.0.pos_encoder.pe", lambda v: v[:20])
    assert "from 200 to 20 tokens" in _refused(main, tmp_path, capsys, state)


def test_name_that_is_no_string_is_rejected(main, tmp_path, tiny_state, capsys):
    error = _refused(main, tmp_path, capsys, {**tiny_state, 3: torch.zeros(1)})
    assert "has 3 for a name" in error


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_become_float32(main, tmp_path, tiny_state, dtype):
    state = {name: value.to(dtype) for name, value in tiny_state.items()}
    torch.save(state, tmp_path / "released.pth")
    assert main(tmp_path / "released.pth", tmp_path / "out.pth") == 0
    weights = torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]
    assert torch.equal(weights["encoder.norm.weight"], state[PREFIX + "backbone.norm.weight"])
    assert weights["encoder.norm.weight"].dtype is torch.float32
    assert weights["encoder.patch_embed.0.1.num_batches_tracked"].dtype is torch.int64


def test_table_off_by_more_than_rounding_is_rejected(main, tmp_path, tiny_state, capsys):
    state = _with(tiny_state, "attention.1.pos_encoder.pe", lambda v: (v + 0.01).half())
    error = _refused(main, tmp_path, capsys, state)
    assert "attention.1.pos_encoder.pe is not what a released LPV computes" in error


def _with_classes(state: dict, number: int) -> dict:
    for stage in range(3):
        state = _with(state, f"cls.{stage}.weight", lambda _: torch.randn(number + 2, 256))
        state = _with(state, f"cls.{stage}.bias", lambda _: torch.randn(number + 2))
    return state


@pytest.mark.parametrize(
    ("characters", "stage"),
    [(None, ()), (None, ("--no-mask",)), (string.digits + string.ascii_letters, ())],
)
def test_case_sensitive_model_gets_a_case_sensitive_config(
    main, tmp_path, tiny_state, characters, stage
):
    expected = characters or string.printable[:94]
    torch.save(_with_classes(tiny_state, len(expected)), tmp_path / "released.pth")
    options = ("--characters", characters) if characters else ()
    assert main(tmp_path / "released.pth", tmp_path / "out.pth", *options, *stage) == 0
    meta = torch.load(tmp_path / "out.pth", weights_only=True)["meta"]
    cfg = Config.fromstring(meta["cfg"], file_format=".py")
    assert cfg.model.decoder.with_mask == (not stage)
    assert cfg.model.decoder.dictionary.characters == expected
    assert cfg.model.decoder.module_loss.letter_case == "unchanged"
    label_filter = dict(charset=expected, case_sensitive=True)
    sources = cfg.train_dataloader.dataset.datasets
    assert [source.label_filter for source in sources] == [label_filter, label_filter]
    assert any(metric.get("case_sensitive") for metric in cfg.test_evaluator.metrics)
    # The loss follows the config: upper-case letters keep their own classes.
    init_default_scope("mmocr")
    decoder = MODELS.build(cfg.model).decoder
    [sample] = decoder.module_loss.get_targets([word_sample("Ab")])
    assert sample.gt_text.indexes.tolist() == [expected.index("A"), expected.index("b")]


def test_case_insensitive_model_gets_the_config_of_the_recipe(main, tmp_path, tiny_state):
    torch.save(tiny_state, tmp_path / "released.pth")
    assert main(tmp_path / "released.pth", tmp_path / "out.pth") == 0
    meta = torch.load(tmp_path / "out.pth", weights_only=True)["meta"]
    cfg = Config.fromstring(meta["cfg"], file_format=".py")
    assert cfg.model.decoder.module_loss.letter_case == "lower"
    assert [metric.type for metric in cfg.test_evaluator.metrics] == ["BenchmarkMetric"]


@pytest.mark.parametrize(
    ("characters", "metrics"),
    [
        (string.digits + string.ascii_lowercase + "-äö", [None, ["ignore_case"]]),
        (string.ascii_lowercase, [None]),
        (string.digits + string.ascii_letters + "Ä", [None, None, ["exact"]]),
    ],
)
def test_other_characters_are_taught_and_scored(main, tmp_path, tiny_state, characters, metrics):
    torch.save(_with_classes(tiny_state, len(characters)), tmp_path / "released.pth")
    options = ("--characters", characters)
    assert main(tmp_path / "released.pth", tmp_path / "out.pth", *options) == 0
    meta = torch.load(tmp_path / "out.pth", weights_only=True)["meta"]
    cfg = Config.fromstring(meta["cfg"], file_format=".py")
    assert {s.label_filter.charset for s in cfg.train_dataloader.dataset.datasets} == {characters}
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert [metric.get("mode") for metric in evaluator.metrics] == metrics


class TestOptions:
    @pytest.fixture
    def source(self, tmp_path, tiny_state) -> Path:
        torch.save(tiny_state, tmp_path / "released.pth")
        return tmp_path / "released.pth"

    @pytest.mark.parametrize("other_name", ["released.pth", "link.pth", "hard.pth"])
    def test_the_authors_file_is_never_overwritten(
        self, main, source, other_name, capsys, monkeypatch
    ):
        (source.parent / "link.pth").symlink_to(source)
        (source.parent / "hard.pth").hardlink_to(source)
        monkeypatch.chdir(source.parent)
        before = source.read_bytes()
        assert main(source, other_name) == 2
        assert "is the released file itself" in capsys.readouterr().err
        assert source.read_bytes() == before

    def test_target_that_is_a_folder_is_rejected(self, main, source, capsys):
        (source.parent / "folder").mkdir()
        assert main(source, source.parent / "folder") == 2
        assert "DST needs the name of a file, and" in capsys.readouterr().err

    @pytest.mark.parametrize("target", ["released.pth/out.pth", "/proc/none/out.pth"])
    def test_target_folder_that_cannot_exist_is_rejected(self, main, source, target, capsys):
        assert main(source, source.parent / target) == 2
        assert "DST needs a folder, and" in capsys.readouterr().err

    def test_write_error_is_reported(self, main, source, capsys, monkeypatch):
        def refuse(*_):
            raise OSError(errno.ENOSPC, "No space left on device", "out.pth")

        monkeypatch.setattr(AtomicLocalBackend, "put", refuse)
        assert main(source, source.parent / "out.pth") == 2
        assert "No space left on device" in capsys.readouterr().err

    def test_repeated_characters_are_rejected(self, main, source, capsys):
        assert main(source, source.parent / "out.pth", "--characters", "a" * 36) == 2
        assert "--characters: characters must be a string of different" in capsys.readouterr().err

    def test_command_prints_one_line(self, source):
        result = _run(source, source.parent / "out.pth")
        assert result.returncode == 0
        assert result.stdout.count("\n") == 1
        assert "deprecated" not in result.stdout + result.stderr


def test_truncated_file_is_named(main, tmp_path, tiny_state, capsys):
    torch.save(tiny_state, tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:100_000])
    assert main(tmp_path / "half.pth", tmp_path / "out.pth") == 2
    assert capsys.readouterr().err.count("half.pth") == 1


def test_command_names_a_missing_file(tmp_path):
    result = _run(tmp_path / "absent.pth", tmp_path / "out.pth")
    assert result.returncode == 2
    assert "absent.pth" in result.stderr
    assert "Traceback" not in result.stderr
