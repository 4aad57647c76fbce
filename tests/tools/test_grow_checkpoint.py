"""Tests of ``grow_checkpoint.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "checkpoints" / "lpv-mini.pth"
CONFIGS = ROOT / "configs" / "textrecog" / "lpv"
LOW = CONFIGS / "lpv-tiny_cpu_synth_low.py"


@pytest.fixture
def grow(tool_in_process):
    return tool_in_process("model_converters/grow_checkpoint.py")


def test_grown_checkpoint_has_a_config_and_the_small_weights(grow, tmp_path, capsys):
    target = tmp_path / "new" / "grown.pth"
    assert grow(MINI, LOW, target) == 0
    assert "2,857,234 parameters have grown to 8,109,842" in capsys.readouterr().out
    grown = torch.load(target, weights_only=True)
    small = torch.load(MINI, weights_only=True)["state_dict"]
    assert "embed_dims" in grown["meta"]["cfg"]
    name = "encoder.patch_embed.1.0.weight"
    assert torch.equal(grown["state_dict"][name], small[name].float())


def test_weights_with_a_module_prefix_are_grown(grow, tmp_path):
    checkpoint = torch.load(MINI, weights_only=True)
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {f"module.{name}": value for name, value in state.items()}
    torch.save(checkpoint, tmp_path / "wrapped.pth")
    assert grow(tmp_path / "wrapped.pth", LOW, tmp_path / "grown.pth") == 0


def test_bundled_checkpoint_is_found_by_name(grow, tmp_path):
    assert grow("lpv-mini", LOW, tmp_path / "grown.pth") == 0


def test_new_weights_depend_on_the_seed(grow, tmp_path):
    weights = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert grow(MINI, LOW, tmp_path / name, "--seed", seed) == 0
        state = torch.load(tmp_path / name, weights_only=True)["state_dict"]
        weights[name] = state["encoder.stages.0.2.mlp.0.weight"]
    assert torch.equal(weights["a"], weights["b"])
    assert not torch.equal(weights["a"], weights["c"])


def test_counts_of_batches_may_be_missing(grow, tmp_path):
    checkpoint = torch.load(MINI, weights_only=True)
    counts = [name for name in checkpoint["state_dict"] if name.endswith("num_batches_tracked")]
    assert counts
    for name in counts:
        del checkpoint["state_dict"][name]
    torch.save(checkpoint, tmp_path / "without.pth")
    assert grow(tmp_path / "without.pth", LOW, tmp_path / "a.pth") == 0
    assert grow(MINI, LOW, tmp_path / "b.pth") == 0
    grown, expected = (
        torch.load(tmp_path / name, weights_only=True)["state_dict"] for name in ("a.pth", "b.pth")
    )
    for name, value in expected.items():
        assert name.endswith("num_batches_tracked") or torch.equal(grown[name], value), name


class TestBadInput:
    @pytest.fixture
    def error_of(self, grow, capsys):
        def run(*arguments: object) -> str:
            assert grow(*arguments) == 2
            return capsys.readouterr().err

        return run

    def test_missing_checkpoint(self, error_of, tmp_path):
        assert "gone.pth" in error_of("gone.pth", LOW, tmp_path / "a.pth")

    def test_missing_config(self, error_of, tmp_path):
        assert "gone.py" in error_of(MINI, "gone.py", tmp_path / "a.pth")

    def test_checkpoint_without_a_config(self, error_of, tmp_path):
        source = tmp_path / "bare.pth"
        torch.save(dict(state_dict={}), source)
        assert "bare.pth has no config inside" in error_of(source, LOW, tmp_path / "a.pth")

    def test_config_inside_without_a_model(self, error_of, tmp_path):
        checkpoint = torch.load(MINI, weights_only=True)
        checkpoint["meta"]["cfg"] = "train_cfg = dict(max_iters=1)"
        torch.save(checkpoint, tmp_path / "own.pth")
        assert "it has no model" in error_of(tmp_path / "own.pth", LOW, tmp_path / "a.pth")

    def test_config_inside_with_an_unsafe_type(self, error_of, tmp_path):
        checkpoint = torch.load(MINI, weights_only=True)
        checkpoint["meta"]["cfg"] = "model = dict(type='os.system')"
        torch.save(checkpoint, tmp_path / "own.pth")
        said = error_of(tmp_path / "own.pth", LOW, tmp_path / "a.pth")
        assert "own.pth is not used" in said and "model.type = 'os.system'" in said

    def test_weights_with_a_missing_entry(self, error_of, tmp_path):
        checkpoint = torch.load(MINI, weights_only=True)
        del checkpoint["state_dict"]["encoder.norm.bias"]
        torch.save(checkpoint, tmp_path / "part.pth")
        said = error_of(tmp_path / "part.pth", LOW, tmp_path / "a.pth")
        assert "encoder.norm.bias is missing" in said

    def test_weights_that_are_those_of_another_model(self, error_of, tmp_path):
        checkpoint = torch.load(MINI, weights_only=True)
        checkpoint["state_dict"]["encoder.norm.bias"] = torch.zeros(1)
        torch.save(checkpoint, tmp_path / "other.pth")
        said = error_of(tmp_path / "other.pth", LOW, tmp_path / "a.pth")
        assert said.startswith(
            f"error: the weights in {tmp_path / 'other.pth'} are not of the model in its config. "
        )
        assert "encoder.norm.bias has the shape (1,) instead of (" in said

    def test_weights_with_an_additional_entry(self, error_of, tmp_path):
        checkpoint = torch.load(MINI, weights_only=True)
        checkpoint["state_dict"]["more"] = torch.zeros(1)
        torch.save(checkpoint, tmp_path / "more.pth")
        assert "more is left over" in error_of(tmp_path / "more.pth", LOW, tmp_path / "a.pth")

    def test_target_that_is_the_source(self, error_of, tmp_path):
        source = tmp_path / "mini.pth"
        source.write_bytes(MINI.read_bytes())
        assert "is the smaller model itself" in error_of(source, LOW, source)
        assert source.read_bytes() == MINI.read_bytes()

    def test_model_with_a_backbone(self, error_of, tmp_path):
        said = error_of(MINI, CONFIGS / "resnet31-cpa_own_data.py", tmp_path / "a.pth")
        assert "models with a backbone cannot be grown" in said

    def test_config_with_another_normalisation(self, error_of, tmp_path):
        config = tmp_path / "other.py"
        config.write_text(
            f"_base_ = [{str(LOW)!r}]\n"
            "model = dict(data_preprocessor=dict(mean=[123.0] * 3, bgr_to_rgb=False))\n"
        )
        said = error_of(MINI, config, tmp_path / "a.pth")
        assert "the normalisation of images must be the same, got mean [0" in said
        assert "and mean [123.0, 123.0, 123.0]" in said and "channels as loaded" in said

    def test_config_with_another_image_size(self, error_of, tmp_path):
        config = CONFIGS / "lpv-base_stage2_10e_st_mj.py"
        said = error_of(MINI, config, tmp_path / "a.pth")
        assert "the model of" in said and "cannot start from" in said
        assert "the image size must be the same, got (32, 100) and (48, 160)" in said
        assert not (tmp_path / "a.pth").exists()
