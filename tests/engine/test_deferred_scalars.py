"""Tests that losses and gradient norms are logged without being read in every iteration."""

from __future__ import annotations

import copy
import json
import math
from types import SimpleNamespace

from lpv_mmocr.engine import non_finite_guard
from lpv_mmocr.engine.deferred_scalars import AsyncCopy, DeferredOptimWrapper, DeferredScalars

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch.utils._python_dispatch import TorchDispatchMode
from training_cases import training_config

pytestmark = pytest.mark.usefixtures("one_thread")

DEFERRED = dict(
    optim_wrapper=dict(
        type="DeferredOptimWrapper",
        optimizer=dict(type="AdamW", lr=1e-3, fused=True),
        clip_grad=dict(max_norm=20),
    ),
    default_hooks__runtime_info=dict(type="DeferredRuntimeInfoHook"),
)
GUARD = "NonFiniteGuardHook"


class Delayed(AsyncCopy):
    """Values that arrive when the test sets ``ready``."""

    ready = False

    def has_arrived(self) -> bool:
        return type(self).ready


def test_non_finite_values_are_dropped_with_finite_only():
    for finite_only, noted in ((False, 3), (True, 2)):
        hub = MessageHub(f"finite_{finite_only}")
        scalars = DeferredScalars(hub, finite_only=finite_only)
        for value in (1.0, float("nan"), 2.0):
            scalars.add({"a": torch.tensor(value)})
        scalars.flush(wait=True)
        assert len(hub.get_scalar("a").data[0]) == noted


def test_values_are_logged_in_order_once_they_arrive(monkeypatch):
    monkeypatch.setattr(Delayed, "ready", False)
    monkeypatch.setattr("lpv_mmocr.engine.deferred_scalars.AsyncCopy", Delayed)
    hub = MessageHub("deferred")
    scalars = DeferredScalars(hub)
    for value in (1.0, 2.0):
        scalars.add({"a": torch.tensor(value), "b": torch.tensor([10 * value])})
    scalars.flush(wait=False)
    assert hub.log_scalars == {}
    monkeypatch.setattr(Delayed, "ready", True)
    scalars.flush(wait=False)
    assert hub.get_scalar("a").data[0].tolist() == [1.0, 2.0]
    assert hub.get_scalar("b").data[0].tolist() == [10.0, 20.0]
    monkeypatch.setattr(Delayed, "ready", False)
    scalars.add({"a": torch.tensor(3.0)})
    scalars.flush(wait=True)
    assert hub.get_scalar("a").current() == 3.0


def test_values_are_those_at_the_time_of_sending():
    value = torch.tensor([1.0])
    travelling = AsyncCopy.send(value)
    value.fill_(2.0)
    assert travelling.read() == [1.0]


def test_resumed_optimizer_keeps_its_own_implementation():
    """A run without ``fused`` can be continued by the fused optimiser, which then takes flags."""
    weight = torch.nn.Parameter(torch.ones(3))
    wrappers = [
        DeferredOptimWrapper(torch.optim.AdamW([weight], lr=0.1 * rank, fused=fused or None))
        for rank, fused in enumerate((True, False), 1)
    ]
    weight.grad = torch.ones(3)
    for wrapper in wrappers:
        wrapper.step()
    resumed, saved = wrappers
    content = copy.deepcopy(saved.state_dict())
    resumed.load_state_dict(content)
    assert resumed.param_groups[0]["fused"] is True and resumed.param_groups[0]["lr"] == 0.2
    assert content["param_groups"][0]["fused"] is None  # the checkpoint is left alone
    before = weight.detach().clone()
    resumed.optimizer.found_inf = torch.tensor(1.0)
    resumed.step()
    assert torch.equal(weight, before)
    resumed.optimizer.found_inf = torch.tensor(0.0)
    resumed.step()
    assert not torch.equal(weight, before)


def test_state_of_another_number_of_groups_is_refused():
    one, other = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    single = DeferredOptimWrapper(torch.optim.AdamW([one], lr=0.1))
    pair = DeferredOptimWrapper(torch.optim.AdamW([dict(params=[p]) for p in (one, other)], lr=0.1))
    with pytest.raises(ValueError, match="different number of parameter groups"):
        single.load_state_dict(pair.state_dict())


class CountReads(TorchDispatchMode, Hook):
    """Counts how often the value of a tensor is read in each iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        read = function is torch.ops.aten._local_scalar_dense.default
        # Integers are sizes of images, which MMEngine compares on the host.
        if read and args[0].is_floating_point() and self.reads:
            self.reads[-1] += 1
        return function(*args, **(kwargs or {}))

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.reads.append(0)


def train(numbers, work_dir, *, hooks=(), action="stop", max_in_row=10, **options) -> Runner:
    config = training_config(
        numbers,
        work_dir,
        train_cfg=dict(type="ResumableIterBasedTrainLoop", max_iters=6, val_interval=100),
        default_hooks__logger__interval=3,
        custom_hooks=[dict(type=GUARD, action=action, max_in_row=max_in_row)],
        **copy.deepcopy(options),
    )
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def test_log_equals_that_of_mmengines_wrapper_and_hook(numbers, tmp_path):
    plain = dict(DEFERRED["optim_wrapper"], type="OptimWrapper")
    ours = train(numbers, tmp_path / "ours", **DEFERRED)
    theirs = train(
        numbers,
        tmp_path / "theirs",
        optim_wrapper=plain,
    )
    for key in ("train/loss", "train/ce_stage1", "train/grad_norm"):
        expected = theirs.message_hub.get_scalar(key).data[0]
        assert len(expected) == 6
        torch.testing.assert_close(
            torch.tensor(ours.message_hub.get_scalar(key).data[0]),
            torch.tensor(expected),
            atol=1e-5,
            rtol=1e-5,
        )


def test_norm_is_logged_once_per_accumulated_step(numbers, tmp_path):
    options = copy.deepcopy(DEFERRED)
    options["optim_wrapper"]["accumulative_counts"] = 3
    hub = train(numbers, tmp_path, **options).message_hub
    assert len(hub.get_scalar("train/grad_norm").data[0]) == 2


def test_resumed_run_stores_its_own_config(numbers, tmp_path):
    train(numbers, tmp_path, **DEFERRED)
    runner = train(numbers, tmp_path, resume=True, log_level="ERROR", **DEFERRED)
    assert runner.message_hub.get_info("cfg") == runner.cfg.pretty_text


def test_histories_stay_short(numbers, tmp_path):
    hook = dict(type="DeferredRuntimeInfoHook", history=4)
    runner = train(numbers, tmp_path, **dict(DEFERRED, default_hooks__runtime_info=hook))
    assert len(runner.message_hub.get_scalar("train/loss").data[0]) == 4
    assert max(len(h.data[0]) for h in runner.message_hub.log_scalars.values()) == 4


def test_no_value_is_read_during_an_iteration(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(non_finite_guard, "_skips_on_device", lambda optimizer, norm: True)
    counter = CountReads()
    with counter:
        train(numbers, tmp_path, hooks=[counter], **DEFERRED)
    assert counter.reads == [0] * 6


class SpoilGradient(Hook):
    """Makes the gradient infinite in one iteration while the loss stays finite."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration
        self.weights: dict[int, torch.Tensor] = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        weight = runner.model.decoder.classifiers[0].weight
        self.weights[runner.iter] = weight.detach().clone()
        if runner.iter == self.iteration:
            handle = weight.register_hook(lambda gradient: (handle.remove(), gradient / 0)[1])


@pytest.mark.parametrize("action", ["skip", "stop"])
def test_optimizer_skips_a_bad_step_on_the_device(numbers, tmp_path, monkeypatch, action):
    monkeypatch.setattr(non_finite_guard, "_skips_on_device", lambda optimizer, norm: True)
    spoil = SpoilGradient(2)
    if action == "stop":
        with pytest.raises(non_finite_guard.NonFiniteLossError, match="of iteration 3 is not fin"):
            train(numbers, tmp_path, hooks=[spoil], action=action, **DEFERRED)
        assert torch.equal(spoil.weights[2], spoil.weights[3])
        return
    runner = train(numbers, tmp_path, hooks=[spoil], action=action, **DEFERRED)
    moved = [not torch.equal(spoil.weights[i], spoil.weights[i + 1]) for i in range(5)]
    assert moved == [True, True, False, True, True]
    assert runner.message_hub.get_info("skipped_steps") == 1
    # Every line of the log, including that of the bad step.
    (scalars,) = tmp_path.rglob("scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert all(math.isfinite(line["grad_norm"]) for line in lines if "grad_norm" in line)
    assert any(line.get("step") == 3 and "grad_norm" in line for line in lines)
    assert runner.model.decoder.classifiers[0].weight.isfinite().all()


def test_bad_steps_around_a_good_one_are_not_consecutive(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(non_finite_guard, "_skips_on_device", lambda optimizer, norm: True)
    spoil = [SpoilGradient(1), SpoilGradient(3)]
    runner = train(numbers, tmp_path, hooks=spoil, action="skip", max_in_row=1, **DEFERRED)
    assert (runner.iter, runner.message_hub.get_info("skipped_steps")) == (6, 2)


def test_norms_are_checked_immediately_on_a_cpu():
    fused = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], fused=True)
    assert not non_finite_guard._skips_on_device(fused, torch.tensor(1.0))


class SpoilLoss(Hook):
    """Makes the loss NaN in some iterations."""

    def __init__(self, iterations: tuple[int, ...]) -> None:
        self.iterations = iterations

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter in self.iterations:
            data_batch["inputs"][0] = data_batch["inputs"][0].float() * float("nan")


def test_a_bad_loss_is_counted_once(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(non_finite_guard, "_skips_on_device", lambda optimizer, norm: True)
    runner = train(numbers, tmp_path, hooks=[SpoilLoss((1, 2, 4))], action="skip", **DEFERRED)
    assert runner.message_hub.get_info("skipped_steps") == 3
    norms = runner.message_hub.get_scalar("train/grad_norm").data[0]
    assert len(norms) == 3
    assert all(norm == norm for norm in norms)


def test_bad_steps_are_skipped_without_gradient_clipping(numbers, tmp_path):
    options = copy.deepcopy(DEFERRED)
    options["optim_wrapper"].pop("clip_grad")
    runner = train(numbers, tmp_path, hooks=[SpoilLoss((1,))], action="skip", **options)
    assert (runner.iter, runner.message_hub.get_info("skipped_steps")) == (6, 1)


def test_bad_gradient_in_the_last_step_is_logged(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(non_finite_guard, "_skips_on_device", lambda optimizer, norm: True)
    runner = train(numbers, tmp_path, hooks=[SpoilGradient(5)], **DEFERRED)
    assert runner.iter == 6
    assert runner.model.decoder.classifiers[0].weight.isfinite().all()
    (log,) = tmp_path.rglob("*.log")
    assert "Its step, the last one, was left out." in log.read_text()


def test_bad_loss_is_detected_when_a_loss_scaler_skips_the_step():
    guard = non_finite_guard.NonFiniteGuardHook()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    wrapper = SimpleNamespace(should_update=lambda: True, optimizer=optimizer)
    guard._runner = SimpleNamespace(iter=4, optim_wrapper=wrapper)
    for loss in (1.0, float("nan")):
        guard._after_forward(None, (), dict(mode="loss"), dict(loss=torch.tensor(loss)))
        if loss == 1:
            guard.after_train_iter(guard._runner, 4)
        else:
            with pytest.raises(non_finite_guard.NonFiniteLossError, match="of iteration 5 is not"):
                guard.after_train_iter(guard._runner, 4)
        assert not guard._pending


def test_a_loss_scaler_handles_gradients_itself():
    guard = non_finite_guard.NonFiniteGuardHook()
    wrapper = SimpleNamespace(loss_scaler=object(), grad_norm=torch.tensor(float("inf")))
    guard._runner = SimpleNamespace(optim_wrapper=wrapper)
    guard._before_step(torch.optim.SGD([torch.zeros(1, requires_grad=True)]), (), {})
    assert guard._unread_norm is None
