"""Tests of the hooks that check the weights a run starts from."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.engine import InitialWeightsError, InitialWeightsHook

import pytest
import torch
from training_cases import train, training_config

SOURCE = "work_dirs/stage1/best.pth"


def second_stage(numbers, work_dir, **overrides):
    hooks = [dict(type="BatchRecorderHook"), dict(type="InitialWeightsHook", source=SOURCE)]
    overrides.setdefault("train_cfg__max_iters", 2)
    return training_config(numbers, work_dir, custom_hooks=hooks, **overrides)


@pytest.fixture
def first_stage(numbers, tmp_path) -> Path:
    train(training_config(numbers, tmp_path / "stage1", train_cfg__max_iters=1))
    return tmp_path / "stage1" / "iter_1.pth"


def test_training_without_initial_weights_is_refused(numbers, tmp_path):
    with pytest.raises(InitialWeightsError, match=f"--cfg-options load_from={SOURCE}"):
        train(second_stage(numbers, tmp_path))


def test_resume_without_a_checkpoint_needs_initial_weights(numbers, tmp_path):
    with pytest.raises(InitialWeightsError, match="none are given"):
        train(second_stage(numbers, tmp_path, resume=True))


def test_training_with_initial_weights_starts_and_resumes(numbers, tmp_path, first_stage):
    work_dir = tmp_path / "stage2"
    _, seen = train(second_stage(numbers, work_dir, load_from=str(first_stage)))
    assert len(seen) == 2
    config = second_stage(numbers, work_dir, resume=True, train_cfg__max_iters=3)
    assert len(train(config)[1]) == 1


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_weights_of_another_model_are_refused(numbers, tmp_path, first_stage, change):
    checkpoint = torch.load(first_stage, weights_only=True)
    name = next(iter(checkpoint["state_dict"]))
    if change == "missing":
        del checkpoint["state_dict"][name]
        said = f"{name} is missing"
    elif change == "left over":
        checkpoint["state_dict"]["decoder.glrms.7.bias"] = torch.zeros(1)
        said = r"decoder\.glrms\.7\.bias is left over"
    else:
        checkpoint["state_dict"][name] = torch.zeros(1, 2)
        said = rf"{name} has the shape \(1, 2\) instead of"
    torch.save(checkpoint, tmp_path / "other.pth")
    config = second_stage(numbers, tmp_path, load_from=str(tmp_path / "other.pth"))
    with pytest.raises(
        InitialWeightsError, match=rf"1 of \d+ weights do not fit, among them {said}"
    ):
        train(config)


def test_bare_weights_of_a_distributed_run_are_accepted(numbers, tmp_path, first_stage):
    weights = torch.load(first_stage, weights_only=True)["state_dict"]
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "bare.pth")
    train(second_stage(numbers, tmp_path, load_from=str(tmp_path / "bare.pth")))


def test_weights_are_checked_before_other_hooks_run():
    assert InitialWeightsHook(source="x").priority == "VERY_HIGH"


class TestFittingWeights:
    @pytest.fixture
    def start(self, numbers, tmp_path, first_stage):
        """Return a function that trains for one iteration from weights with some names only."""

        def start(keep, *, strict: bool = True, **overrides) -> None:
            checkpoint = torch.load(first_stage, weights_only=True)
            weights = checkpoint["state_dict"]
            checkpoint["state_dict"] = {name: weights[name] for name in weights if keep(name)}
            torch.save(checkpoint, tmp_path / "some.pth")
            overrides["load_from"] = str(tmp_path / "some.pth")
            config = training_config(numbers, tmp_path, train_cfg__max_iters=1, **overrides)
            hook = dict(type="FittingWeightsHook", strict=strict)
            config.custom_hooks.append(hook)
            train(config)

        return start

    def test_strict_mode_requires_all_weights(self, start):
        start(lambda name: True)
        with pytest.raises(InitialWeightsError, match="Use the config that it was trained with"):
            start(lambda name: not name.startswith("decoder.classifiers"))

    @pytest.mark.parametrize("inside", [True, False, None])
    @pytest.mark.parametrize("here", [True, False])
    @pytest.mark.parametrize("strict", [True, False])
    def test_different_mask_is_reported(self, start, first_stage, capsys, strict, here, inside):
        checkpoint = torch.load(first_stage, weights_only=True)
        text = "" if inside is None else f"model = dict(decoder=dict(with_mask={inside}))"
        checkpoint["meta"]["cfg"] = text
        torch.save(checkpoint, first_stage)
        start(lambda name: True, strict=strict, model__decoder__with_mask=here)
        printed = capsys.readouterr().out
        second_stage = here and not strict
        if inside is None or inside == here or second_stage:
            assert "The mask of the GLRMs" not in printed
        else:
            states = ("on", "off") if here else ("off", "on")
            assert "The mask of the GLRMs is {}, and {} in the config".format(*states) in printed
            assert f"To match it, set model.decoder.with_mask={inside}" in printed

    def test_only_the_mask_of_the_model_counts(self, start, first_stage, capsys):
        """A config may contain others, from which the model's is derived."""
        checkpoint = torch.load(first_stage, weights_only=True)
        checkpoint["meta"]["cfg"] = (
            "mini_model = dict(decoder=dict(with_mask=True))\n"
            "model = dict(decoder=dict(with_mask=False))\n"
        )
        torch.save(checkpoint, first_stage)
        start(lambda name: True, model__decoder__with_mask=True)
        assert "The mask of the GLRMs is on, and off in the config" in capsys.readouterr().out

    def test_non_strict_mode_accepts_some_weights(self, start, capsys):
        start(lambda name: not name.startswith("decoder.classifiers"), strict=False)
        said = capsys.readouterr().out
        assert "weights are taken over from the checkpoint. The others keep their init" in said
        with pytest.raises(InitialWeightsError, match=r"(\d+) of \1 weights do not fit"):
            start(lambda name: False, strict=False)
