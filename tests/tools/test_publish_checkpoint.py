"""Tests of ``publish_checkpoint.py``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest
import torch
from mmocr.apis import TextRecInferencer


@pytest.fixture
def publish(tool_in_process):
    return tool_in_process("model_converters/publish_checkpoint.py")


@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_published_file_is_self_contained(publish, toy_run, tmp_path, capsys, dtype):
    source, target = toy_run / "iter_4.pth", tmp_path / "new" / "toy.pth"
    assert publish(source, target, "--dtype", dtype) == 0
    said = capsys.readouterr().out
    assert f"sha256 {hashlib.sha256(target.read_bytes()).hexdigest()}" in said
    small, whole = (torch.load(path, weights_only=True) for path in (target, source))
    assert small.keys() == {"meta", "state_dict"}
    assert target.stat().st_size < source.stat().st_size / 2
    model = TextRecInferencer(weights=str(target), device="cpu").model
    for name, value in model.state_dict().items():
        expected = whole["state_dict"][name]
        if dtype == "fp16" and expected.is_floating_point():
            expected = expected.half().float()
        assert torch.equal(value, expected), name


def test_kinds_of_words_and_numbers_are_kept(publish, toy_run, tmp_path):
    saved = torch.load(toy_run / "iter_4.pth", weights_only=True)
    saved["state_dict"]["count"] = torch.tensor([300_001])
    torch.save(saved, tmp_path / "a.pth")
    assert publish("a.pth", "b.pth") == 0
    small = torch.load("b.pth", weights_only=True)
    assert small["meta"]["dataset_meta"] == saved["meta"]["dataset_meta"]
    assert small["state_dict"]["count"].tolist() == [300_001]


def test_config_option_replaces_the_config_inside(publish, toy_run, toy_config, tmp_path):
    assert publish(toy_run / "iter_4.pth", tmp_path / "a.pth", "--config", toy_config) == 0
    saved = torch.load(tmp_path / "a.pth", weights_only=True)
    whole = torch.load(toy_run / "iter_4.pth", weights_only=True)
    assert str(toy_run) in whole["meta"]["cfg"]
    assert str(toy_run) not in saved["meta"]["cfg"]
    assert TextRecInferencer(weights=str(tmp_path / "a.pth"), device="cpu").model.with_encoder


def test_checksums_are_accepted_by_sha256sum(publish, toy_run, tmp_path):
    source, folder = toy_run / "iter_4.pth", tmp_path / "checkpoints"
    assert publish(source, folder / "plain.pth") == 0
    assert not (folder / "SHA256SUMS").exists()
    for dtype in ("fp32", "fp16"):
        for name in ("b.pth", "a.pth"):
            assert publish(source, folder / name, "--dtype", dtype, "--checksums") == 0
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    result = subprocess.run(check, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout == "a.pth: OK\nb.pth: OK\n"


class TestBadInput:
    @pytest.fixture
    def error_of(self, publish, capsys):
        def run(*arguments: object) -> str:
            assert publish(*arguments) == 2
            return capsys.readouterr().err.strip()

        return run

    def test_missing_checkpoint(self, error_of):
        assert error_of("gone.pth", "a.pth") == "error: there is no checkpoint gone.pth"

    def test_target_that_is_the_source(self, error_of, toy_run, tmp_path):
        source = shutil.copy(toy_run / "iter_4.pth", tmp_path / "a.pth")
        size = source.stat().st_size
        assert "a.pth is the checkpoint itself" in error_of("a.pth", source)
        assert source.stat().st_size == size

    def test_checkpoint_without_a_config(self, error_of, tmp_path):
        torch.save({"state_dict": {}}, tmp_path / "bare.pth")
        assert "bare.pth has no config inside" in error_of("bare.pth", "a.pth")

    def test_checkpoint_without_weights(self, error_of, tmp_path):
        torch.save({"meta": {}}, tmp_path / "bare.pth")
        assert "bare.pth is not a checkpoint of a training" in error_of("bare.pth", "a.pth")

    def test_config_inside_that_imports_modules(
        self, error_of, publish, toy_run, toy_config, tmp_path
    ):
        saved = torch.load(toy_run / "iter_4.pth", weights_only=True)
        saved["meta"]["cfg"] = f"import os\n{saved['meta']['cfg']}"
        torch.save(saved, tmp_path / "own.pth")
        assert "own.pth has no config inside, or one that was left out" in error_of(
            "own.pth", "a.pth"
        )
        assert publish("own.pth", "a.pth", "--config", toy_config) == 0
        assert "cfg" in torch.load("a.pth", weights_only=True)["meta"]

    def test_malformed_list_of_checksums(self, error_of, toy_run, tmp_path):
        (tmp_path / "SHA256SUMS").write_text("hello\n")
        error = error_of(toy_run / "iter_4.pth", "a.pth", "--checksums")
        assert error == (
            "error: SHA256SUMS, line 1 is not as sha256sum writes it (digest, two spaces, name)"
        )
        assert not (tmp_path / "a.pth").exists()

    def test_values_that_fp16_cannot_hold(self, error_of, toy_run, tmp_path):
        saved = torch.load(toy_run / "iter_4.pth", weights_only=True)
        name = next(iter(saved["state_dict"]))
        saved["state_dict"][name].fill_(1e6)
        torch.save(saved, tmp_path / "large.pth")
        assert f"{name} of large.pth has values that" in error_of("large.pth", "a.pth")
        assert not (tmp_path / "a.pth").exists()

    def test_config_of_another_model(self, error_of, toy_run):
        config = "lpv_mmocr::textrecog/lpv/resnet31-cpa_own_data.py"
        error = error_of(toy_run / "iter_4.pth", "a.pth", "--config", config)
        assert error.startswith(f"error: the weights are not of the model in {config}")

    def test_names_that_a_list_of_checksums_cannot_hold(self, error_of, toy_run, tmp_path):
        error = error_of(toy_run / "iter_4.pth", "a\nb.pth", "--checksums")
        assert error == "error: SHA256SUMS cannot hold the name of DST"
        assert not list(tmp_path.glob("*.pth"))

    def test_folder_instead_of_a_list_of_checksums(self, error_of, toy_run, tmp_path):
        (tmp_path / "SHA256SUMS").mkdir()
        error = error_of(toy_run / "iter_4.pth", "a.pth", "--checksums")
        assert error == "error: SHA256SUMS is a folder, not a list of checksums"
        assert not (tmp_path / "a.pth").exists()

    def test_weights_that_are_none(self, error_of, tmp_path):
        torch.save(dict(meta=dict(cfg=""), state_dict=5), tmp_path / "odd.pth")
        assert "odd.pth is not a checkpoint of a training run" in error_of("odd.pth", "a.pth")
