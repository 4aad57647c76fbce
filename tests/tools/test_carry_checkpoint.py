"""Tests of ``carry_checkpoint.py``."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from lpv_mmocr.engine import load_checkpoint

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 16_777_216  # bytes
FILES = 8


@pytest.fixture
def carry(tool_in_process):
    return tool_in_process("model_converters/carry_checkpoint.py")


@pytest.fixture
def timed_config(toy_config, tmp_path) -> Path:
    """Toy config that trains like the synth configs: AdamW, EMA weights and a time budget.

    The budget is so long that the learning rate, which follows the clock, stays constant.
    """
    file = tmp_path / "timed.py"
    file.write_text(
        f"""
_base_ = {str(toy_config)!r}
optim_wrapper = dict(_delete_=True, type="AutocastOptimWrapper", dtype="float32",
    optimizer=dict(type="AdamW", lr=1e-3), clip_grad=dict(max_norm=20))
custom_hooks = [
    dict(type="TimeBudgetHook", minutes=6000, peak_lr=1e-3),
    dict(type="EMAHook", momentum=0.1, update_buffers=True),
]
"""
    )
    return file


@pytest.fixture
def train(tool_in_process, timed_config):
    run = tool_in_process("train.py")

    def start(folder: Path, max_iters: int) -> None:
        options = [f"train_cfg.max_iters={max_iters}", "train_cfg.val_interval=100"]
        assert run(timed_config, "--work-dir", folder, "--resume", "--cfg-options", *options) == 0

    return start


def losses(file: Path) -> list[float]:
    """Return the losses of all iterations up to a checkpoint."""
    return load_checkpoint(file)["message_hub"]["log_scalars"]["train/loss"].data[0].tolist()


def used_seconds(file: Path) -> float:
    return load_checkpoint(file)["message_hub"]["runtime_info"]["time_budget_used_seconds"]


@pytest.mark.slow
def test_carried_run_continues_like_the_original(carry, train, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    train(here, 4)
    assert carry("pack", here / "iter_4.pth", tmp_path / "carried") == 0
    assert carry("unpack", tmp_path / "carried", there) == 0
    used = used_seconds(here / "iter_4.pth")
    assert used_seconds(there / "iter_4.pth") == used > 0
    train(here, 8)
    train(there, 8)
    stayed, carried = losses(here / "iter_8.pth"), losses(there / "iter_8.pth")
    assert len(carried) == 8 and carried[:4] == stayed[:4]
    assert carried == pytest.approx(stayed, rel=1e-3)
    assert used_seconds(there / "iter_8.pth") > used


def test_training_curves_are_carried(carry, toy_run, tmp_path):
    for source, target in ((toy_run, "once"), (tmp_path / "once", "twice")):
        assert carry("pack", source / "iter_4.pth", tmp_path / "carried") == 0
        assert carry("unpack", tmp_path / "carried", tmp_path / target) == 0
    (original,) = toy_run.glob("*/vis_data/scalars.json")
    (curves,) = (tmp_path / "twice").glob("*/vis_data/scalars.json")
    assert curves.read_text() == original.read_text()


def test_last_line_of_the_curves_may_be_incomplete(carry, toy_run, tmp_path):
    run = shutil.copytree(toy_run, tmp_path / "run")
    (file,) = run.glob("*/vis_data/scalars.json")
    complete = file.read_text()
    file.write_text(complete + '{"loss": 0.')
    assert carry("pack", run / "iter_4.pth", tmp_path / "carried") == 0
    assert carry("unpack", tmp_path / "carried", tmp_path / "there") == 0
    (curves,) = (tmp_path / "there").glob("*/vis_data/scalars.json")
    assert curves.read_text() == complete


def test_averaged_weights_beyond_half_precision_are_kept(load_tool):
    tool = load_tool("model_converters/carry_checkpoint.py")
    large = torch.tensor([[1e5, 1.0]])
    back = tool.restored(tool.rounded(("state_dict", "weight"), large))
    torch.testing.assert_close(back, large, rtol=2**-16, atol=0)


@pytest.mark.parametrize("shape", [(), (0, 3), (1, 1), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_compression_keeps_every_bit(load_tool, shape, dtype):
    tool = load_tool("model_converters/carry_checkpoint.py")
    value = (1000 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)
    back = tool.restored(tool.compressed(value.T.contiguous().T if shape else value))
    expected = value.float() if value.is_floating_point() else value
    assert back.dtype == expected.dtype and torch.equal(back, expected)


def test_half_precision_becomes_float32_and_double_stays(load_tool):
    tool = load_tool("model_converters/carry_checkpoint.py")
    value = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tool.restored(value.half()), value.half().float())
    double = value.double() / 3
    back = tool.restored(tool.compressed(tool.rounded(("optimizer", "a"), double)))
    assert back.dtype == torch.float64 and torch.equal(back, double)


def test_last_values_of_the_log_are_kept(load_tool):
    tool = load_tool("model_converters/carry_checkpoint.py")
    history = HistoryBuffer(range(3000), [1] * 3000, max_length=10_000)
    (kept,) = tool.shortened(dict(log_scalars=dict(loss=history)))["log_scalars"].values()
    assert kept.data[0].tolist() == list(range(3000 - tool.KEPT_VALUES, 3000))


def test_only_float_matrices_are_rounded(carry, train, tmp_path):
    train(tmp_path / "here", 4)
    source = tmp_path / "here" / "iter_4.pth"
    assert carry("pack", source, tmp_path / "carried") == 0
    assert carry("unpack", tmp_path / "carried", tmp_path / "new" / "back.pth") == 0
    torch.load(tmp_path / "new" / "back.pth", weights_only=True)
    before, after = load_checkpoint(source), load_checkpoint(tmp_path / "new" / "back.pth")
    assert after.keys() == before.keys()
    assert after["meta"] == before["meta"]
    info = after["message_hub"]["runtime_info"]
    assert info["cfg"] == before["message_hub"]["runtime_info"]["cfg"]
    assert after["optimizer"]["param_groups"] == before["optimizer"]["param_groups"]
    moments = [
        (f"{index}.{name}", value, after["optimizer"]["state"][index][name])
        for index, state in before["optimizer"]["state"].items()
        for name, value in state.items()
    ]
    groups = [(moments, 2**-8)] + [
        ([(name, value, after[group][name]) for name, value in before[group].items()], bound)
        for group, bound in (("state_dict", 2**-11), ("ema_state_dict", 2**-11))
    ]
    for entries, bound in groups:
        for name, old, new in entries:
            assert new.dtype == old.dtype and new.shape == old.shape, name
            if old.dim() < 2 or not old.is_floating_point():
                assert torch.equal(new, old), name
            else:
                # Half precision rounds values close to zero by a fixed step.
                torch.testing.assert_close(new, old, rtol=bound, atol=2**-24)


def test_finished_run_is_carried_as_weights_only(carry, toy_run, tmp_path):
    here, there = shutil.copytree(toy_run, tmp_path / "here"), tmp_path / "there"
    (here / "finished").touch()
    assert carry("pack", here / "iter_4.pth", tmp_path / "carried") == 0
    assert carry("unpack", tmp_path / "carried", there) == 0
    assert (there / "finished").is_file()
    assert (there / "last_checkpoint").read_text() == str(there / "iter_4.pth")
    assert load_checkpoint(there / "iter_4.pth").keys() == {"meta", "state_dict"}


def test_unfinished_run_replaces_a_finished_one(carry, toy_run, tmp_path):
    assert carry("pack", toy_run / "iter_4.pth", tmp_path / "carried") == 0
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "finished").touch()
    assert carry("unpack", tmp_path / "carried", tmp_path / "there") == 0
    assert not (tmp_path / "there" / "finished").exists()


def test_lpv_tiny_fits_the_limits(carry, tmp_path):
    """Those of single files; and of an unfinished run as a whole, which many tools refuse to move.

    The weights here are noise, which compresses less than real ones.
    """
    cfg = Config.fromfile(ROOT / "configs/textrecog/lpv/lpv-tiny_synth.py")
    init_default_scope("mmocr")
    model = MODELS.build(cfg.model)
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    state = {
        index: dict(step=torch.tensor(9.0), exp_avg=value.detach(), exp_avg_sq=value.detach() ** 2)
        for index, value in enumerate(model.parameters())
    }
    values = dict(
        log_history=torch.rand(30_000), count_history=torch.ones(30_000), max_length=10**6
    )
    checkpoint = dict(
        meta=dict(iter=30_000, cfg=cfg.pretty_text),
        state_dict=weights,
        ema_state_dict={f"module.{name}": value for name, value in weights.items()},
        optimizer=dict(state=state, param_groups=[dict(lr=1.0, params=list(state))]),
        message_hub=dict(
            log_scalars={f"train/{name}": values for name in range(20)},
            runtime_info=dict(cfg=cfg.pretty_text),
            resumed_keys={},
        ),
    )
    source = tmp_path / "run" / "iter_30000.pth"
    source.parent.mkdir()
    torch.save(checkpoint, source)
    assert carry("pack", source, tmp_path / "going_on") == 0
    assert sum(file.stat().st_size for file in (tmp_path / "going_on").iterdir()) < 56e6
    (source.parent / "finished").touch()
    assert carry("pack", source, tmp_path / "finished") == 0
    sizes = [file.stat().st_size for file in tmp_path.glob("*/part_*.pth")]
    assert max(sizes) <= LIMIT and len(sizes) <= FILES
    assert len(list((tmp_path / "finished").iterdir())) == math.ceil(
        sum(value.nbytes / 2 for value in weights.values()) / LIMIT
    )


def test_new_parts_replace_old_ones(carry, toy_run, tmp_path):
    folder = tmp_path / "carried"
    folder.mkdir()
    (folder / "part_1_of_3.pth").write_bytes(b"old")
    (folder / "other.txt").touch()
    (folder / "part_2_of_3.pth.partial").touch()  # by a process that was killed
    assert carry("pack", toy_run / "iter_4.pth", folder) == 0
    assert sorted(file.name for file in folder.iterdir()) == ["other.txt", "part_1_of_1.pth"]


class TestInterruptedPacking:
    """A process may be killed while it writes parts, or while it replaces the previous ones."""

    @pytest.fixture
    def carry(self, load_tool, tmp_path, monkeypatch):
        """Return a function that runs the tool with small parts."""
        tool = load_tool("model_converters/carry_checkpoint.py")
        monkeypatch.setattr(tool, "LIMIT", 120_000)
        monkeypatch.chdir(tmp_path)
        return lambda *arguments: tool.main([str(argument) for argument in arguments])

    @pytest.fixture
    def packed(self, carry, toy_run, tmp_path) -> Path:
        """Folder with a checkpoint of iteration 2 in several parts."""
        assert carry("pack", toy_run / "iter_2.pth", tmp_path / "carried") == 0
        assert len(list((tmp_path / "carried").glob("part_*.pth"))) > 2
        return tmp_path / "carried"

    def iteration(self, carry, folder: Path) -> int:
        assert carry("unpack", folder, "back.pth") == 0
        return load_checkpoint("back.pth")["meta"]["iter"]

    @pytest.mark.parametrize("renamed", [0, 1, 2])
    def test_new_parts_that_were_not_all_renamed_are_complete(
        self, carry, toy_run, packed, tmp_path, renamed
    ):
        for file in sorted(packed.iterdir())[renamed:]:
            file.rename(f"{file}.partial")
        assert self.iteration(carry, packed) == 2
        assert carry("pack", toy_run / "iter_4.pth", packed) == 0
        assert self.iteration(carry, packed) == 4
        assert not list(packed.glob("*.partial"))

    def test_they_replace_old_parts_that_were_not_all_deleted(
        self, carry, toy_run, packed, tmp_path
    ):
        assert carry("pack", toy_run / "iter_4.pth", tmp_path / "new") == 0
        for file in (tmp_path / "new").iterdir():
            file.rename(packed / f"{file.name}.partial")
        assert self.iteration(carry, packed) == 4
        next(packed.glob("part_*.pth")).unlink()
        assert self.iteration(carry, packed) == 4

    def test_half_written_ones_are_ignored(self, carry, toy_run, packed, tmp_path):
        assert carry("pack", toy_run / "iter_4.pth", tmp_path / "new") == 0
        for file in (tmp_path / "new").iterdir():
            file.rename(packed / f"{file.name}.partial")
        cut = packed / f"{file.name}.partial"
        cut.write_bytes(cut.read_bytes()[:1000])
        assert self.iteration(carry, packed) == 2

    def test_nothing_is_restored_if_the_first_save_was_interrupted(
        self, carry, packed, tmp_path, capsys
    ):
        for number, file in enumerate(sorted(packed.iterdir())):
            file.rename(f"{file}.partial") if number else file.unlink()
        assert carry("unpack", packed, tmp_path / "run") == 0
        assert "no state, as saving the first one was interrupted" in capsys.readouterr().out
        assert not (tmp_path / "run").exists()


class TestBadInput:
    @pytest.fixture
    def error_of(self, carry, capsys):
        def run(*arguments: object) -> str:
            assert carry(*arguments) == 2
            return capsys.readouterr().err.strip()

        return run

    def test_missing_checkpoint(self, error_of):
        assert error_of("pack", "gone.pth", "a") == "error: there is no checkpoint gone.pth"

    def test_checkpoint_without_training_state(self, error_of, tmp_path):
        torch.save({"state_dict": {}}, tmp_path / "bare.pth")
        assert "bare.pth is not a checkpoint of a training" in error_of("pack", "bare.pth", "a")

    def test_folder_without_parts(self, error_of, tmp_path):
        assert "a has no part_*.pth: give the folder" in error_of("unpack", "a", "b")

    def test_iteration_that_is_a_path(self, carry, error_of, toy_run, tmp_path):
        assert carry("pack", toy_run / "iter_4.pth", "parts") == 0
        (part,) = (tmp_path / "parts").iterdir()
        content = torch.load(part, weights_only=True)
        content["meta"]["iter"] = "/../../elsewhere/best"
        torch.save(content, part)
        assert "its iteration is '/../../elsewhere/best'" in error_of("unpack", "parts", "back/run")
        assert not (tmp_path / "elsewhere").exists() and not (tmp_path / "back").exists()

    def test_part_not_written_by_pack(self, error_of, toy_run, tmp_path):
        (tmp_path / "part_1.pth").write_bytes((toy_run / "iter_4.pth").read_bytes())
        assert "part_1.pth was not written by pack" in error_of("unpack", tmp_path, "b")

    def test_parts_of_two_packings(self, carry, error_of, toy_run, tmp_path, load_tool):
        for name in ("a", "b"):
            assert carry("pack", toy_run / "iter_4.pth", tmp_path / name) == 0
        (tmp_path / "b" / "part_1_of_1.pth").rename(tmp_path / "a" / "part_2_of_1.pth")
        error = error_of("unpack", tmp_path / "a", "c")
        assert "does not hold all 1 parts of one packing, but part_1_of_1.pth, part_2" in error
        assert not Path("c").exists()

    def test_tensor_beyond_the_limit(self, error_of, toy_run, tmp_path):
        saved = torch.load(toy_run / "iter_4.pth", weights_only=True)
        saved["state_dict"]["large"] = torch.zeros(5, 10**6, dtype=torch.float64)
        torch.save(saved, tmp_path / "large.pth")
        error = error_of("pack", "large.pth", "a")
        assert "state_dict/large alone is too large for 16777216 bytes" in error

    def test_damaged_part(self, carry, error_of, toy_run, tmp_path):
        assert carry("pack", toy_run / "iter_4.pth", tmp_path / "parts") == 0
        (part,) = (tmp_path / "parts").iterdir()
        content = torch.load(part, weights_only=True)
        for value in content["tensors"].values():
            if isinstance(value, dict):
                value["zlib"][20:40] = 0
        torch.save(content, part)
        assert "the parts in parts are damaged (" in error_of("unpack", "parts", "back")
        assert not (tmp_path / "back" / "last_checkpoint").exists()

    def test_folder_in_which_a_process_trains(self, carry, error_of, toy_run, monkeypatch):
        assert carry("pack", toy_run / "iter_4.pth", "parts") == 0
        monkeypatch.setattr("lpv_mmocr.file_lock.try_lock", lambda file: False)
        assert "another process trains in back" in error_of("unpack", "parts", "back")
        assert carry("unpack", "parts", "back.pth") == 0
