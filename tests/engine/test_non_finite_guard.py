"""Tests that non-finite losses and gradients never reach the weights."""

from __future__ import annotations

import copy
import itertools
import json
import math
from types import SimpleNamespace

from lpv_mmocr.engine import NonFiniteGuardHook, NonFiniteLossError, non_finite_guard

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from training_cases import recorded, training_config

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("action", ["stop", "skip"])
def test_run_with_several_optimisers_is_not_checked(action):
    model, said = torch.nn.Linear(1, 1), []
    wrappers = {
        name: OptimWrapper(torch.optim.SGD([parameter], lr=0.1))
        for name, parameter in model.named_parameters()
    }
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=OptimWrapperDict(**wrappers),
        logger=SimpleNamespace(warning=said.append),
    )
    guard = NonFiniteGuardHook(action=action)
    guard.before_train(runner)
    guard.after_train_iter(runner, 0, None, {})
    guard.after_train(runner)
    assert ["This run has several" in line for line in said] == [True]


class Spoil(Hook):
    """Makes losses or gradients non-finite in some iterations and records the training state.

    Args:
        iterations: Iterations to spoil, counted from 0.
        what: "loss", or "gradient" for a finite loss with a non-finite gradient.
    """

    def __init__(self, *iterations: int, what: str = "loss") -> None:
        self.iterations = iterations
        self.what = what
        self.now = False
        self.states: dict[int, dict] = {}

    def before_train(self, runner) -> None:
        runner.model.decoder.module_loss.register_forward_hook(self._spoil)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.now = runner.iter in self.iterations
        self.states[runner.iter] = copy.deepcopy(
            dict(
                model=runner.model.state_dict(),
                optimizer=runner.optim_wrapper.optimizer.state_dict(),
            )
        )
        if self.now and self.what == "loss":
            # Reaches the running statistics of batch normalisation too.
            data_batch["inputs"][0] = data_batch["inputs"][0].float() * float("nan")

    def _spoil(self, module, args, losses):
        if self.now and self.what == "gradient":
            loss = losses["loss_cpa"]
            # The derivative of a square root at 0 is infinite.
            losses["loss_cpa"] = loss + (loss - loss.detach()).sqrt() * 0.5
        return losses


def run(numbers, tmp_path, spoil: Spoil, **options) -> tuple[Runner, Exception | None]:
    guard = dict(dict(type="NonFiniteGuardHook"), **options.pop("guard", {}))
    config = training_config(
        numbers,
        tmp_path,
        train_cfg=dict(type="ResumableIterBasedTrainLoop", max_iters=8, val_interval=100),
        custom_hooks=[dict(type="BatchRecorderHook"), guard],
        default_hooks__checkpoint=dict(type="AtomicCheckpointHook", interval=1),
        **options,
    )
    runner = Runner.from_cfg(config)
    runner.register_hook(spoil)
    try:
        runner.train()
    except NonFiniteLossError as error:
        return runner, error
    return runner, None


def same(first, second) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return all(same(a, b) for a, b in zip(first, second, strict=True))
    return first == second


def keys_of(line: str) -> list[str]:
    return [word.split("=")[0] for word in line.split()[1:]]


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_stop_names_iteration_and_samples_and_keeps_the_weights(numbers, tmp_path, what):
    spoil = Spoil(3, what=what)
    runner, error = run(numbers, tmp_path, spoil)
    message = str(error)
    assert ("The loss" if what == "loss" else "The gradient norm") in message
    assert "of iteration 4 is not finite" in message
    assert "loss_cpa=" in message
    assert all(key in message for key in keys_of(recorded(runner)[3]))
    assert not any(key in message for key in set(keys_of(recorded(runner)[2])))
    weights = dict(runner.model.named_parameters())
    assert all(torch.equal(weights[k], spoil.states[3]["model"][k]) for k in weights)
    assert sorted(p.name for p in tmp_path.glob("*.pth")) == [f"iter_{i}.pth" for i in (1, 2, 3)]


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_skipped_step_does_not_change_the_training_state(numbers, tmp_path, what):
    spoil = Spoil(3, 5, what=what)
    runner, error = run(numbers, tmp_path, spoil, guard=dict(action="skip"))
    assert error is None
    for iteration in (3, 5):
        assert same(spoil.states[iteration], spoil.states[iteration + 1])
    assert not same(spoil.states[4]["model"], spoil.states[5]["model"])
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    hub = runner.message_hub
    assert hub.get_scalar("train/skipped_steps").data[0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    losses = hub.get_scalar("train/loss").data[0]
    assert len(losses) == 6
    assert torch.as_tensor(losses).isfinite().all()
    # All hooks have been removed.
    assert not runner.model._forward_hooks and not runner.model._forward_pre_hooks
    assert not runner.optim_wrapper.optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("action", ["skip", "stop"])
def test_bad_batch_of_another_process_is_detected(numbers, tmp_path, monkeypatch, action):
    calls = itertools.count()

    def all_reduce(flag, op) -> None:
        assert op == "max"
        if next(calls) == 3:
            flag.fill_(1)

    monkeypatch.setattr(non_finite_guard, "all_reduce", all_reduce)
    spoil = Spoil()
    runner, error = run(numbers, tmp_path, spoil, guard=dict(action=action))
    if action == "skip":
        assert runner.message_hub.get_info("skipped_steps") == 1
        assert same(spoil.states[3], spoil.states[4])
    else:
        assert "The loss of iteration 4 is not finite" in str(error)
        assert "samples" not in str(error)  # this process has no bad samples


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("wrapper", ["OptimWrapper", "DeferredOptimWrapper"])
def test_log_shows_only_the_norms_of_taken_steps(numbers, tmp_path, what, wrapper):
    deferred = wrapper == "DeferredOptimWrapper"
    runner, _ = run(
        numbers,
        tmp_path,
        Spoil(0, 1, 5, what=what),  # the first line of the log has no norm at all to show
        guard=dict(action="skip"),
        optim_wrapper__type=wrapper,
        default_hooks__runtime_info=dict(
            type="DeferredRuntimeInfoHook" if deferred else "RuntimeInfoHook"
        ),
    )
    norms = runner.message_hub.get_scalar("train/grad_norm").data[0]
    assert len(norms) == 5
    assert torch.as_tensor(norms).isfinite().all()
    (file,) = tmp_path.rglob("scalars.json")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows = [row for row in rows if "skipped_steps" in row]
    assert ["grad_norm" in row for row in rows] == [False, True, True, True]
    assert all(math.isfinite(row["grad_norm"]) for row in rows[1:])


def test_too_many_consecutive_skips_end_the_training(numbers, tmp_path):
    spoil = Spoil(1, 3, 4, 5)
    runner, error = run(numbers, tmp_path, spoil, guard=dict(action="skip", max_in_row=2))
    assert runner.iter == 5
    assert "2 steps in a row have been skipped before this one" in str(error)


def test_count_of_skipped_steps_survives_resuming(numbers, tmp_path):
    run(numbers, tmp_path, Spoil(2), guard=dict(action="skip"))
    (tmp_path / "iter_8.pth").unlink()
    runner, _ = run(numbers, tmp_path, Spoil(7), guard=dict(action="skip"), resume=True)
    assert runner.message_hub.get_scalar("train/skipped_steps").current() == 2


def test_accumulated_gradients_are_skipped_together(numbers, tmp_path):
    spoil = Spoil(4)  # the first half of the step of iterations 4 and 5
    runner, error = run(
        numbers,
        tmp_path,
        spoil,
        guard=dict(action="skip"),
        optim_wrapper__accumulative_counts=2,
    )
    assert error is None
    assert same(spoil.states[4]["optimizer"], spoil.states[6]["optimizer"])
    assert same(spoil.states[4]["model"], spoil.states[6]["model"])
    assert not same(spoil.states[2]["model"], spoil.states[4]["model"])
    assert runner.message_hub.get_scalar("train/skipped_steps").current() == 1


def test_guard_does_not_affect_finite_training(numbers, tmp_path):
    guarded, _ = run(numbers, tmp_path / "a", Spoil(), guard=dict(action="skip"))
    free, _ = run(numbers, tmp_path / "b", Spoil(), guard=dict(type="IterTimerHook"))
    assert same(guarded.model.state_dict(), free.model.state_dict())


def test_validation_is_not_checked():
    hook = NonFiniteGuardHook()
    hook._after_forward(None, (), dict(mode="predict"), [object()])
    assert hook._pending == []


@pytest.mark.parametrize("spoiled", [False, True])
def test_lists_of_losses_are_checked(numbers, tmp_path, spoiled):
    class Lists(Hook):
        def before_train(self, runner) -> None:
            runner.model.decoder.module_loss.register_forward_hook(self._listed)

        def _listed(self, module, args, losses):
            bad = losses["loss_cpa"] * (float("nan") if spoiled else 1.0)
            return dict(loss_list=[losses["loss_cpa"], bad])

    runner = Runner.from_cfg(
        training_config(
            numbers,
            tmp_path,
            train_cfg=dict(type="ResumableIterBasedTrainLoop", max_iters=2),
            custom_hooks=[dict(type="NonFiniteGuardHook")],
        )
    )
    runner.register_hook(Lists())
    if spoiled:
        with pytest.raises(NonFiniteLossError, match="The loss of iteration 1 is not finite"):
            runner.train()
    else:
        runner.train()
        assert runner.iter == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(action="ignore"), "action must be stop or skip, got 'ignore'"),
        (dict(max_in_row=0), "max_in_row must be at least 1"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NonFiniteGuardHook(**options)


@pytest.mark.parametrize(("fused", "expected"), [(True, True), (None, False)])
def test_flag_on_the_device_is_only_for_groups_that_are_fused(fused, expected):
    """Groups that were loaded from a checkpoint can differ from the optimiser's defaults."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], fused=True)
    optimizer.param_groups[0]["fused"] = fused
    norm = SimpleNamespace(is_cuda=True)
    assert non_finite_guard._skips_on_device(optimizer, norm) is expected


def test_saved_statistics_are_those_that_checkpoints_hold():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    model.register_buffer("constant", torch.ones(2), persistent=False)
    groups = non_finite_guard._persistent_buffers(model)
    norm = model[0]
    expected = [[norm.running_mean, norm.running_var], [norm.num_batches_tracked]]
    assert [list(map(id, group)) for group in groups] == [
        list(map(id, group)) for group in expected
    ]


def test_statistics_are_restored_only_if_they_were_saved():
    """A training step of another kind may compute the loss without the guard's notice."""
    guard = NonFiniteGuardHook(action="skip")
    model = torch.nn.BatchNorm1d(3)
    model.running_mean.fill_(5.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logger = SimpleNamespace(warning=lambda message: None)
    guard._runner = SimpleNamespace(logger=logger)
    guard._statistics = [
        (group, [torch.zeros_like(buffer) for buffer in group])
        for group in non_finite_guard._persistent_buffers(model)
    ]
    guard._check_step(optimizer, gradient=math.inf)
    assert model.running_mean.tolist() == [5.0] * 3
    guard._before_forward(model, (), dict(mode="loss"))
    model.running_mean.fill_(math.nan)
    guard._check_step(optimizer, gradient=math.inf)
    assert model.running_mean.tolist() == [5.0] * 3
