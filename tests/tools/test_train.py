"""Tests of ``tools/train.py``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lpv_mmocr.engine import amp, checkpoint_search

import pytest
import torch
from mmengine.config import Config

TOOLS = Path(__file__).resolve().parents[2] / "tools"
ONE_CYCLE = dict(type="OneCycleLR", by_epoch=False, eta_max=8e-3, total_steps=4, pct_start=0.5)


@pytest.fixture
def train(tool_in_process):
    return tool_in_process("train.py")


def iteration(checkpoint) -> int:
    return torch.load(checkpoint, weights_only=True)["meta"]["iter"]


class TestTraining:
    def test_writes_checkpoints_that_load_safely(self, toy_run):
        assert iteration(toy_run / "iter_4.pth") == 4
        assert (toy_run / "last_checkpoint").read_text().endswith("iter_4.pth")

    def test_amp_on_the_cpu_trains(self, train, toy_config, tmp_path, capfd):
        assert train(toy_config, "--amp", "--work-dir", tmp_path / "run") == 0
        assert "AutocastOptimWrapper" in capfd.readouterr().out
        weights = torch.load(tmp_path / "run/iter_4.pth", weights_only=True)["state_dict"]
        assert all(torch.isfinite(value).all() for value in weights.values())

    def test_emulated_bfloat16_is_replaced_by_float32(
        self, train, toy_config, tmp_path, monkeypatch, capfd
    ):
        monkeypatch.setattr(amp, "get_device", lambda: "cpu")
        monkeypatch.setattr(amp, "gpu_emulates_bfloat16", lambda: False)
        monkeypatch.setattr(amp, "cpu_emulates_bfloat16", lambda: True)
        once = ["--cfg-options", "train_cfg.max_iters=1"]
        assert train(toy_config, "--amp", "--work-dir", tmp_path / "run", *once) == 0
        output = "".join(capfd.readouterr())
        assert "only emulates bfloat16" in output and "trains in float32" in output
        assert 'dtype="float32"' in output.replace("'", '"').replace(" = ", "=")

    def test_every_run_of_a_process_has_its_own_curves(self, train, toy_config, tmp_path):
        for name in ("one", "two"):
            once = ["train_cfg.max_iters=1", f"experiment_name={name}"]
            assert train(toy_config, "--work-dir", tmp_path / name, "--cfg-options", *once) == 0
            (scalars,) = (tmp_path / name).glob("*/vis_data/scalars.json")
            assert '"loss"' in scalars.read_text()

    def test_work_folder_of_another_process_is_refused(
        self, train, toy_config, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr("lpv_mmocr.file_lock.try_lock", lambda file: False)
        assert train(toy_config, "--work-dir", tmp_path / "run") == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: another process trains in {tmp_path / 'run'}: wait for")
        assert [file.name for file in (tmp_path / "run").iterdir()] == ["training.lock"]

    def test_work_folder_is_locked_before_a_checkpoint_is_chosen_and_until_the_end(
        self, train, toy_config, tmp_path, monkeypatch
    ):
        lock = tmp_path / "run" / "training.lock"
        seen = []
        number = checkpoint_search._number
        monkeypatch.setattr(
            checkpoint_search, "_number", lambda file: seen.append(lock.exists()) or number(file)
        )
        monkeypatch.setattr(
            "lpv_mmocr.engine.AtomicCheckpointHook.after_run",
            lambda self, runner: seen.append(lock.exists()),
        )
        assert train(toy_config, "--resume", "--work-dir", tmp_path / "run") == 0
        assert len(seen) > 1 and all(seen) and not lock.exists()

    def test_resume_continues_from_the_newest(self, train, toy_config, toy_run, tmp_path):
        run = shutil.copytree(toy_run, tmp_path / "run")
        (run / "last_checkpoint").write_text(str(run / "iter_2.pth"))
        (run / "iter_4.pth").unlink()
        more = ["--cfg-options", "train_cfg.max_iters=6"]
        assert train(toy_config, "--resume", "--work-dir", run, *more) == 0
        assert iteration(run / "iter_6.pth") == 6
        log = max(run.glob("*/*.log")).read_text()
        assert "resumed epoch: 0, iter: 2" in log

    @pytest.mark.parametrize(("folder", "said"), [("train", True), ("val", False)])
    def test_validation_on_training_words_is_reported(self, train, toy_config, capfd, folder, said):
        read = f"val_dataloader.dataset.ann_file={folder}"
        assert train(toy_config, "--cfg-options", read, "train_cfg.max_iters=1") == 0
        assert ("/train that are also trained on: its accuracy" in capfd.readouterr().out) is said

    def test_earlier_run_in_the_work_folder_is_reported(
        self, train, toy_config, toy_run, tmp_path, capfd
    ):
        run = shutil.copytree(toy_run, tmp_path / "run")
        once = ["--cfg-options", "train_cfg.max_iters=1"]
        assert train(toy_config, "--work-dir", run, *once) == 0
        assert f"{run} holds checkpoints of an earlier training run (" in capfd.readouterr().err

    def test_characters_without_labels_are_in_the_log(self, train, toy_config, tmp_path):
        options = ["model.decoder.dictionary.characters=0123456789äö", "train_cfg.max_iters=1"]
        assert train(toy_config, "--work-dir", tmp_path / "a", "--cfg-options", *options) == 0
        (log,) = (tmp_path / "a").glob("*/*.log")
        said = "The model knows 2 characters that no label of the training data can have"
        assert f"WARNING - {said} (ä ö): the label filter, or letter_case" in log.read_text()

    def test_characters_that_do_not_fit_are_in_the_log(self, train, toy_config, tmp_path):
        (tmp_path / "own.py").write_text(
            f"_base_ = [{str(toy_config)!r}]\n"
            "characters = '0123456789é'\n"
            "model = dict(decoder=dict(dictionary=dict(characters=characters)))\n"
            "labels = dict(charset=characters + '№')\n"
            "train_dataloader = dict(dataset=dict(label_filter=labels))\n"
            "val_evaluator = dict(type='WordMetric', _delete_=True)\n"
            "train_cfg = dict(max_iters=1)\n"
            "default_hooks = dict(checkpoint=dict(save_best=None))\n"
        )
        assert train(tmp_path / "own.py", "--work-dir", tmp_path / "a") == 0
        (log,) = (tmp_path / "a").glob("*/*.log")
        content = log.read_text()
        assert "of LPVLMDBDataset may have 1 characters that the model does not know (№)" in content
        assert "removes 1 characters of the model from labels and readings before" in content

    def test_config_without_optional_entries_trains(self, train, toy_config, tmp_path):
        cfg = Config.fromfile(toy_config)
        bare = Config({key: cfg[key] for key in cfg if key not in ("resume", "visualizer")})
        bare.dump(tmp_path / "bare.py")
        assert train(tmp_path / "bare.py", "--cfg-options", "train_cfg.max_iters=1") == 0

    def test_resumed_one_cycle_may_be_longer(self, train, toy_config, tmp_path, capfd):
        one_cycle = tmp_path / "one_cycle.py"
        one_cycle.write_text(f"_base_ = {str(toy_config)!r}\nparam_scheduler = [{ONE_CYCLE}]\n")
        assert train(one_cycle, "--work-dir", tmp_path / "run") == 0
        longer = ["train_cfg.max_iters=6", "param_scheduler.0.total_steps=6"]
        resume = ["--resume", "--work-dir", tmp_path / "run"]
        assert train(one_cycle, *resume, "--cfg-options", *longer) == 0
        assert "param_scheduler.0 now has 6 steps, 4 before" in capfd.readouterr().out

    def test_resume_accepts_a_checkpoint(self, train, toy_config, toy_run, tmp_path):
        arguments = ["--resume", toy_run / "iter_2.pth", "--work-dir", tmp_path / "other"]
        assert train(toy_config, *arguments) == 0
        assert not (tmp_path / "other/iter_2.pth").exists()
        assert iteration(tmp_path / "other/iter_4.pth") == 4

    def test_resume_without_a_checkpoint_starts_and_says_so(self, train, toy_config, capfd):
        assert train(toy_config, "--resume", "--cfg-options", "train_cfg.max_iters=1") == 0
        assert "work_dirs/tiny_steps has no checkpoint to continue from" in capfd.readouterr().out

    def test_auto_scale_lr_follows_the_batch(self, train, toy_config, tmp_path):
        options = ["auto_scale_lr.base_batch_size=8", "train_cfg.max_iters=1"]
        run = ["--auto-scale-lr", "--work-dir", tmp_path / "run", "--cfg-options", *options]
        assert train(toy_config, *run) == 0
        state = torch.load(tmp_path / "run/iter_1.pth", weights_only=True)
        assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(2e-3 * 4 / 8)

    def test_auto_scale_lr_follows_the_batch_in_one_cycle(self, train, toy_config, tmp_path):
        one_cycle = tmp_path / "one_cycle.py"
        one_cycle.write_text(f"_base_ = {str(toy_config)!r}\nparam_scheduler = [{ONE_CYCLE}]\n")
        rates = []
        for name, options in (("plain", []), ("scaled", ["--auto-scale-lr"])):
            run = tmp_path / name
            scaling = ["--cfg-options", "auto_scale_lr.base_batch_size=8"]
            assert train(one_cycle, "--work-dir", run, *options, *scaling) == 0
            state = torch.load(run / "iter_2.pth", weights_only=True)
            rates.append(state["optimizer"]["param_groups"][0]["lr"])
        assert rates[1] == pytest.approx(rates[0] * 4 / 8)


class TestBadInput:
    """Tests of errors: exit status 2 and one line that names the cause."""

    @pytest.fixture
    def error_of(self, train, capfd):
        def run(*arguments: object) -> str:
            assert train(*arguments) == 2
            error = capfd.readouterr().err
            assert "Traceback" not in error
            return error.splitlines()[-1]

        return run

    def test_no_config(self, error_of):
        assert error_of("nowhere.py") == "error: there is no config file nowhere.py"

    def test_config_of_an_unknown_scope(self, error_of):
        assert "the config no_scope::a/b.py cannot be read" in error_of("no_scope::a/b.py")

    def test_broken_config(self, error_of, tmp_path):
        (tmp_path / "broken.py").write_text("model = dict(")
        assert "the config broken.py cannot be read (SyntaxError" in error_of("broken.py")

    def test_config_without_training(self, error_of, tmp_path):
        (tmp_path / "empty.py").write_text("model = dict(type='LPV')")
        error = error_of("empty.py")
        assert error.endswith("empty.py has no train_dataloader, train_cfg, optim_wrapper")

    def test_no_data(self, error_of, toy_config, tmp_path):
        options = ["--cfg-options", "train_dataloader.dataset.data_root=gone"]
        assert "gone/train" in error_of(toy_config, *options)

    def test_option_with_an_index_out_of_range(self, error_of, toy_config):
        error = error_of(toy_config, "--cfg-options", "train_pipeline.99.type=Resize")
        assert error.startswith("error: --cfg-options does not fit")

    def test_option_without_a_value(self, error_of, toy_config):
        error = error_of(toy_config, "--cfg-options", "nonsense")
        assert error.endswith("error: --cfg-options takes KEY=VALUE, got nonsense")

    def test_too_few_iterations_for_one_cycle(self, error_of):
        config = TOOLS.parent / "configs/textrecog/lpv/lpv-tiny_own_data.py"
        few = ["train_cfg.max_iters=10", "param_scheduler.0.total_steps=10"]
        error = error_of(config, "--cfg-options", *few)
        assert error.startswith("error: param_scheduler.0 has 10 steps")
        assert "use at least 20 steps" in error

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            ("trian_cfg.max_iters=4", "the config has no trian_cfg; did you mean train_cfg?"),
            ("load_form=x.pth", "the config has no load_form; did you mean load_from?"),
            ("custom_hooks=[dict(type='X',at=4)]", "--cfg-options takes literals as values"),
            ("load_from=[a.pth,b.pth", "--cfg-options takes literals as values"),
            ("train_cfg={max_iters: 5}", "takes dictionaries as in Python, with quoted keys"),
            ("resum=True", "the config has no resum; did you mean resume?"),
            ("train_cfg.max_iter=4", "got an unexpected keyword argument 'max_iter'"),
        ],
    )
    def test_misspelt_option(self, error_of, toy_config, option, said):
        assert said in error_of(toy_config, "--cfg-options", option)

    def test_weights_of_another_model(self, error_of, toy_config, tmp_path):
        torch.save({"state_dict": {"a": torch.zeros(3)}}, tmp_path / "other.pth")
        error = error_of(toy_config, "--cfg-options", "load_from=other.pth")
        assert "The checkpoint is not of this model" in error

    def test_no_checkpoint_to_resume(self, error_of, toy_config):
        error = error_of(toy_config, "--resume", "gone.pth")
        assert error == "error: there is no checkpoint gone.pth"

    def test_resuming_from_weights_only(self, error_of, toy_config, toy_run, tmp_path):
        saved = torch.load(toy_run / "iter_4.pth", weights_only=True)
        torch.save({key: saved[key] for key in ("meta", "state_dict")}, tmp_path / "weights.pth")
        error = error_of(toy_config, "--resume", "weights.pth")
        assert "weights.pth is without optimizer, message_hub. To start a new run" in error
        assert error.endswith("--cfg-options load_from=weights.pth")

    def test_resuming_from_weights_of_another_model(self, error_of, toy_config, toy_run, tmp_path):
        saved = torch.load(toy_run / "iter_2.pth", weights_only=True)
        del saved["state_dict"]["encoder.norm.bias"]
        torch.save(saved, tmp_path / "part.pth")
        error = error_of(toy_config, "--resume", "part.pth")
        assert "encoder.norm.bias is missing" in error

    @pytest.mark.parametrize("options", [[], ["--resume"]])  # harmless at the first start
    def test_bundled_weights_are_known_by_name(self, error_of, train, toy_config, capfd, options):
        once = [*options, "--cfg-options", "load_from=lpv-mini", "train_cfg.max_iters=1"]
        assert train(toy_config, *once) == 0
        assert "The others keep their initialisation" in capfd.readouterr().out
        error = error_of(toy_config, "--cfg-options", "load_from=lpv-mni")
        assert "bundled checkpoints are named without .pth: lpv-mini" in error

    def test_no_weights_to_start_from(self, error_of, toy_config):
        error = error_of(toy_config, "--cfg-options", "load_from=gone.pth")
        assert error == "error: load_from: there is no checkpoint gone.pth"

    def test_loss_scaling_without_a_gpu(self, error_of, toy_config, monkeypatch):
        monkeypatch.setattr(amp, "is_cuda_available", lambda: False)
        error = error_of(toy_config, "--cfg-options", "optim_wrapper.type=AmpOptimWrapper")
        assert error.startswith("error: optim_wrapper.type=AmpOptimWrapper needs a GPU, and none")

    def test_damaged_checkpoint(self, error_of, toy_config, tmp_path):
        (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
        assert "bad.pth" in error_of(toy_config, "--cfg-options", "load_from=bad.pth")

    def test_unknown_type(self, error_of, toy_config):
        error = error_of(toy_config, "--cfg-options", "model.type=NoSuchModel")
        assert "NoSuchModel is not in" in error

    def test_no_base_batch_size(self, error_of, toy_config):
        options = ["--cfg-options", "auto_scale_lr={'_delete_': True}"]
        assert "needs auto_scale_lr" in error_of(toy_config, "--auto-scale-lr", *options)

    def test_amp_with_a_wrapper_of_unknown_precision(self, error_of, toy_config):
        options = ["--cfg-options", "optim_wrapper.type=ApexOptimWrapper"]
        assert "not ApexOptimWrapper" in error_of(toy_config, "--amp", *options)

    def test_option_without_an_effect(self, error_of, toy_config):
        error = error_of(toy_config, "--cfg-options", "max_iters=6")
        assert error.startswith("error: --cfg-options max_iters=6 has no effect")
        assert "train_cfg.max_iters" in error

    def test_data_root_without_an_effect(self, error_of, toy_config, tmp_path):
        (tmp_path / "mine.py").write_text(f"_base_ = {str(toy_config)!r}\ndata_root = '/x'\n")
        error = error_of("mine.py")
        assert "data_root = '/x' in " in error and "train_dataloader.dataset.data_root" in error

    def test_one_cycle_of_another_length(self, error_of, toy_config, tmp_path):
        file = tmp_path / "one_cycle.py"
        file.write_text(f"_base_ = {str(toy_config)!r}\nparam_scheduler = [{ONE_CYCLE}]\n")
        error = error_of(file, "--cfg-options", "train_cfg.max_iters=6")
        assert "param_scheduler.0.total_steps is 4, but train_cfg.max_iters is 6" in error

    def test_launcher_that_did_not_start_the_process(self, error_of, toy_config):
        error = error_of(toy_config, "--launcher", "pytorch")
        assert "RANK, WORLD_SIZE, LOCAL_RANK is not set" in error

    def test_command_prints_the_error_last(self, run_tool):
        result = run_tool(sys.executable, TOOLS / "train.py", "nowhere.py")
        assert result.returncode == 2
        assert result.stderr.splitlines()[-1] == "error: there is no config file nowhere.py"
