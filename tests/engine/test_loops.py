"""Tests that a resumed run sees and computes what an uninterrupted one would have."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import shutil
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.engine import load_checkpoint, loops

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmocr.registry import DATASETS, TRANSFORMS
from training_cases import At, recorded, train, training_config

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(runner: Runner) -> dict[str, torch.Tensor]:
    return runner.model.state_dict()


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


class Interruption(Exception):
    pass


def interrupt(runner: Runner) -> None:
    raise Interruption


def train_until(config: ConfigDict, iteration: int) -> Runner:
    runner = Runner.from_cfg(config)
    runner.register_hook(At(iteration, interrupt))
    with pytest.raises(Interruption):
        runner.train()
    return runner


@pytest.fixture(scope="module")
def uninterrupted(numbers, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train(training_config(numbers, tmp_path_factory.mktemp("whole")))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_run_equals_the_uninterrupted_one(numbers, uninterrupted, tmp_path, workers):
    whole, seen = uninterrupted
    # Dropout, stochastic depth and augmentation are all on.
    loading = dict(train_dataloader__num_workers=workers)
    train_until(training_config(numbers, tmp_path, **loading), 7)
    runner, seen_after = train(training_config(numbers, tmp_path, resume=True, **loading))
    assert seen_after == seen[4:]
    assert_equal(weights(runner), weights(whole))
    assert runner.optim_wrapper.get_lr() == whole.optim_wrapper.get_lr()


def test_batches_are_loaded_in_order_and_differ(uninterrupted):
    seen = uninterrupted[1]
    assert [int(line.split()[0]) for line in seen] == list(range(12))
    keys = [word.split("=")[0] for line in seen for word in line.split()[1:]]
    assert len(set(keys[:50])) == 50  # an epoch
    pixels = {}
    for line in seen:
        for word in line.split()[1:]:
            key, value = word.split("=")
            pixels.setdefault(key, set()).add(value)
    assert any(len(values) > 1 for values in pixels.values())  # augmentation differs between epochs


def test_resumed_run_replays_no_data(numbers, tmp_path, monkeypatch):
    from lpv_mmocr.datasets import LPVLMDBDataset

    train_until(training_config(numbers, tmp_path), 9)
    read = []
    original = LPVLMDBDataset.prepare_data

    def counted(self, index):
        read.append(self.test_mode)
        return original(self, index)

    monkeypatch.setattr(LPVLMDBDataset, "prepare_data", counted)
    train(training_config(numbers, tmp_path, resume=True))
    assert read.count(False) == 4 * 6  # iterations 8 to 11, nothing for the eight before


def test_seed_is_taken_from_the_checkpoint_if_not_configured(numbers, tmp_path):
    unseeded = dict(randomness=dict(seed=None, _delete_=True))
    first = train_until(training_config(numbers, tmp_path, **unseeded), 6)
    shutil.copytree(tmp_path, tmp_path / "copy")
    _, once = train(training_config(numbers, tmp_path, resume=True, **unseeded))
    _, again = train(training_config(numbers, tmp_path / "copy", resume=True, **unseeded))
    assert once == again
    assert once[:2] == recorded(first)[4:6]


@DATASETS.register_module()
class StoppableWords(LPVLMDBDataset):
    """Dataset that records when it is stopped."""

    stopped: list[StoppableWords] = []

    def stop(self) -> None:
        self.stopped.append(self)


def test_dataset_replaced_for_another_seed_is_stopped(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(StoppableWords, "stopped", [])
    own = dict(train_dataloader__dataset__type="StoppableWords")
    train_until(training_config(numbers, tmp_path, randomness=dict(seed=5), **own), 6)
    assert not StoppableWords.stopped
    config = training_config(numbers, tmp_path, randomness=dict(seed=6), resume=True, **own)
    runner, _ = train(config)
    (stopped,) = StoppableWords.stopped
    assert stopped is not runner.train_dataloader.dataset


def test_processes_at_different_iterations_are_refused(numbers, tmp_path, monkeypatch):
    """On machines without a shared folder, only one of them finds a checkpoint."""
    monkeypatch.setattr(loops, "all_gather_object", lambda iteration: [iteration, 40])
    runner = Runner.from_cfg(training_config(numbers, tmp_path))
    with pytest.raises(RuntimeError, match=r"different iterations \(0, 40\).* --work-dir"):
        runner.train()


def test_each_process_draws_its_own_random_numbers(numbers, tmp_path, monkeypatch):
    drawn = []

    def note(runner: Runner) -> None:
        drawn.append(torch.rand(4).tolist())
        raise Interruption

    for rank in (0, 1, 1):
        runner = Runner.from_cfg(training_config(numbers, tmp_path / str(len(drawn))))
        runner.register_hook(At(1, note))
        with monkeypatch.context() as context, pytest.raises(Interruption):
            context.setattr(loops, "get_rank", lambda rank=rank: rank)
            context.setattr(loops, "get_world_size", lambda: 2)
            runner.train()
    assert drawn[0] != drawn[1] == drawn[2]


def logged(work_dir: Path) -> str:
    return "\n".join(log.read_text() for log in work_dir.rglob("*.log"))


class ValidationCounter(Hook):
    def __init__(self, failing: bool = False) -> None:
        self.failing = failing
        self.iterations: list[int] = []

    def before_val(self, runner) -> None:
        if self.failing:
            raise Interruption
        self.iterations.append(runner.iter)


@pytest.mark.parametrize(("begin", "expected"), [(4, [4, 8, 12]), (5, [8, 12])])
def test_validation_may_begin_later(numbers, tmp_path, begin, expected):
    options = dict(train_cfg__val_interval=4, train_cfg__val_begin=begin)
    runner = Runner.from_cfg(training_config(numbers, tmp_path, **options))
    counter = ValidationCounter()
    runner.register_hook(counter)
    runner.train()
    assert counter.iterations == expected


def test_missed_validation_is_caught_up(numbers, tmp_path):
    every_four = dict(train_cfg__val_interval=4)
    runner = Runner.from_cfg(training_config(numbers, tmp_path, **every_four))
    runner.register_hook(ValidationCounter(failing=True))
    with pytest.raises(Interruption):  # after checkpoint 4, before validation 4
        runner.train()
    counter = ValidationCounter()
    runner = Runner.from_cfg(training_config(numbers, tmp_path, resume=True, **every_four))
    runner.register_hook(counter)
    runner.train()
    assert counter.iterations == [4, 8, 12]


def test_no_validation_is_repeated_and_the_run_ends_with_one(numbers, tmp_path):
    options = dict(train_cfg__val_interval=4, default_hooks__checkpoint__save_best="auto")
    train(training_config(numbers, tmp_path, train_cfg__max_iters=4, **options))
    counter = ValidationCounter()
    config = training_config(numbers, tmp_path, train_cfg__max_iters=6, resume=True, **options)
    runner = Runner.from_cfg(config)
    runner.register_hook(counter)
    runner.train()
    assert counter.iterations == [6]


def test_stopped_training_is_not_validated(numbers, tmp_path):
    counter = ValidationCounter()
    runner = Runner.from_cfg(training_config(numbers, tmp_path, train_cfg__val_interval=2))
    runner.register_hook(counter)
    runner.register_hook(At(2, lambda runner: setattr(runner.train_loop, "stop_training", True)))
    runner.train()
    assert counter.iterations == []


def test_checkpoints_hold_the_random_state_of_training(numbers, tmp_path):
    class Watch(Hook):
        """Compares the state a checkpoint would hold with the one that training continues with."""

        same: list[bool] = []

        def compare(self, runner) -> None:
            kept = runner.train_loop.random_state()["torch"]
            self.same.append(torch.equal(kept, self.before))

        def before_val(self, runner) -> None:
            self.before = torch.get_rng_state()

        def after_val(self, runner) -> None:
            torch.rand(3)
            self.compare(runner)

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            self.before = torch.get_rng_state()
            self.compare(runner)

    config = training_config(numbers, tmp_path, train_cfg__max_iters=3, train_cfg__val_interval=2)
    runner = Runner.from_cfg(config)
    runner.register_hook(Watch())
    runner.train()
    assert Watch.same == [True] * 5


@pytest.mark.parametrize(
    ("first", "later", "failing", "expected"),
    [(8, [(4, 2)], True, [4, 6, 8, 10, 12]), (4, [(4, 12)], False, [12])],
)
def test_caught_up_validation_follows_the_interval_of_its_time(
    numbers, tmp_path, first, later, failing, expected
):
    intervals = dict(train_cfg__val_interval=first, train_cfg__dynamic_intervals=later)
    runner = Runner.from_cfg(training_config(numbers, tmp_path, **intervals))
    runner.register_hook(ValidationCounter(failing))
    runner.register_hook(At(6, interrupt))
    with pytest.raises(Interruption):  # after checkpoint 4
        runner.train()
    counter = ValidationCounter()
    runner = Runner.from_cfg(training_config(numbers, tmp_path, resume=True, **intervals))
    runner.register_hook(counter)
    runner.train()
    assert counter.iterations == expected


def test_validation_does_not_affect_training(numbers, uninterrupted, tmp_path):
    @HOOKS.register_module(force=True)
    class Drawing(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            torch.rand(3)

    config = training_config(
        numbers,
        tmp_path,
        train_cfg__val_interval=3,
        custom_hooks=[dict(type="BatchRecorderHook"), dict(type="Drawing")],
    )
    runner, _ = train(config)
    assert_equal(weights(runner), weights(uninterrupted[0]))


def test_changed_batch_size_is_logged_and_training_continues(numbers, tmp_path):
    train_until(training_config(numbers, tmp_path), 5)
    config = training_config(numbers, tmp_path, resume=True, train_dataloader__batch_size=3)
    _, seen = train(config)
    assert "batches of 6 in 1 process(es); this one has batches of 3 in 1" in logged(tmp_path)
    assert [line.split()[0] for line in seen] == [str(i) for i in range(4, 12)]


def test_changed_process_count_is_logged_and_training_continues(numbers, tmp_path, monkeypatch):
    """Random numbers are not those of a new run."""
    train_until(training_config(numbers, tmp_path / "one"), 5)
    monkeypatch.setattr(loops, "get_rank", lambda: 1)
    monkeypatch.setattr(loops, "get_world_size", lambda: 2)
    drawn = []
    for work_dir, iteration, resume in (("one", 5, True), ("two", 1, False)):
        config = training_config(numbers, tmp_path / work_dir, resume=resume)
        config.train_cfg.max_iters = iteration
        runner = Runner.from_cfg(config)
        runner.register_hook(At(iteration, lambda runner: drawn.append(torch.rand(4).tolist())))
        runner.train()
    assert "in 1 process(es); this one has batches of 6 in 2" in logged(tmp_path / "one")
    assert drawn[0] != drawn[1]


@TRANSFORMS.register_module()
class FailAtTheEighth(BaseTransform):
    """Raises at the eighth sample that a worker loads."""

    seen = 0

    def transform(self, results: dict) -> dict:
        self.seen += 1
        if self.seen == 8:
            raise Interruption
        return results


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("end", ["last iteration", "error", "error in the data"])
def test_workers_end_with_the_training(numbers, tmp_path, persistent, end):
    """Not at garbage collection, where PyTorch would wait five seconds for each of them."""
    workers = dict(num_workers=2, persistent_workers=persistent)
    config = training_config(numbers, tmp_path, train_dataloader=workers, val_dataloader=workers)
    if end == "error in the data":
        config.train_dataloader.dataset.pipeline.insert(0, dict(type="FailAtTheEighth"))
    runner = Runner.from_cfg(config)
    if end == "error":
        runner.register_hook(At(7, interrupt))
    before = set(multiprocessing.active_children())
    gc.disable()
    try:
        with contextlib.nullcontext() if end == "last iteration" else pytest.raises(Interruption):
            runner.train()
        assert set(multiprocessing.active_children()) <= before
    finally:
        gc.enable()
    runner.val()  # starts new workers
    runner.val_loop.dataloader._iterator = None


def test_checkpoint_without_random_state_is_logged(numbers, tmp_path):
    plain = dict(default_hooks__checkpoint=dict(type="CheckpointHook", interval=4, by_epoch=False))
    train_until(training_config(numbers, tmp_path, **plain), 5)
    train(training_config(numbers, tmp_path, resume=True, **plain))
    assert "holds no random state" in logged(tmp_path)


def test_every_process_restores_its_own_random_state(monkeypatch):
    restored = []
    monkeypatch.setattr(loops, "get_rank", lambda: 1)
    monkeypatch.setattr(loops, "set_random_state", restored.append)
    loops.ResumableIterBasedTrainLoop._restore(None, ["first", "second"])
    assert restored == ["second"]


def test_checkpoints_with_random_state_load_safely(numbers, tmp_path):
    train_until(training_config(numbers, tmp_path), 5)
    path = tmp_path / "iter_4.pth"
    assert torch.load(path, weights_only=True)["message_hub"]["runtime_info"]["random_states"]
    assert load_checkpoint(path)["meta"]["iter"] == 4


def test_samplers_that_cannot_resume_are_refused(numbers, tmp_path):
    config = training_config(
        numbers, tmp_path, train_dataloader__sampler=dict(type="DefaultSampler", shuffle=True)
    )
    with pytest.raises(TypeError, match="DefaultSampler cannot begin in the middle"):
        train(config)


def test_max_iters_must_be_a_positive_integer(numbers, tmp_path):
    with pytest.raises(ValueError, match=r"whole number, got 2\.5"):
        train(training_config(numbers, tmp_path, train_cfg__max_iters=2.5))
    with pytest.raises(ValueError, match="max_iters must be at least 1, got 0"):
        train(training_config(numbers, tmp_path, train_cfg__max_iters=0))


@pytest.mark.parametrize("intervals", [dict(val_interval=0), dict(dynamic_intervals=[(4, 0)])])
def test_interval_of_validations_must_be_positive(numbers, tmp_path, intervals):
    options = {f"train_cfg__{name}": value for name, value in intervals.items()}
    runner = Runner.from_cfg(training_config(numbers, tmp_path, **options))
    with pytest.raises(ValueError, match=r"val_interval must be at least 1 .* val_dataloader = "):
        runner.train()


def test_checkpoint_beyond_the_end_is_refused(numbers, tmp_path):
    train_until(training_config(numbers, tmp_path), 5)
    config = training_config(numbers, tmp_path, train_cfg__max_iters=2, resume=True)
    with pytest.raises(ValueError, match=r"is at iteration 4, and train_cfg\.max_iters is 2"):
        Runner.from_cfg(config).train()


@pytest.mark.parametrize("name", ["training", "validation"])
def test_processes_with_different_data_do_not_train(numbers, tmp_path, monkeypatch, name):
    """As on several machines, one of which has an older copy."""
    runner = Runner.from_cfg(training_config(numbers, tmp_path))
    monkeypatch.setattr(loops, "get_world_size", lambda: 2)
    gathered = []

    def gather(value):
        gathered.append(value)
        number = ["start", "training", "validation"].index(name) + 1
        return [value, value + 1] if len(gathered) == number else [value, value]

    monkeypatch.setattr(loops, "all_gather_object", gather)
    with pytest.raises(RuntimeError, match=f"The processes have different {name} data, of "):
        runner.train()
