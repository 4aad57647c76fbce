"""Tasks in which models are measured side by side: forward pass, inference, training step."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..cli import InputError
from .machine import matrix_product
from .measurement import Measurement
from .memory import bytes_of, peak_of_call
from .precision import training_precision
from .specification import Specification
from .subject import Call, Subject
from .subjects import ConfigSubject, build_subject, load
from .timing import clock_for, measure_in_turns, summarise

BATCH_SIZES = {"forward": (1, 32, 256), "inference": (1, 32, 256), "train": (32,)}
# A backward pass takes two products for each of the forward pass.
_PASSES = {"forward": 1, "inference": 1, "train": 3}
_PEAK = "matrix product in {}"


@dataclass(frozen=True)
class Plan:
    """Measurement settings.

    Attributes:
        device: Device that models run on.
        rounds: Number of rounds.
        min_seconds: Time to fill with repeated calls in each round.
        warm_up: Number of calls before the first round, at least one.
        strict: Whether a failing model stops the benchmark.
        progress: Callback that receives a line about the progress.
    """

    device: torch.device
    rounds: int = 11
    min_seconds: float = 0.2
    warm_up: int = 3
    strict: bool = False
    progress: Callable[[str], None] = lambda line: None


def check(tasks: Sequence[str], specs: Sequence[Specification], device: torch.device) -> None:
    """Check that the tasks suit the models before anything is measured.

    Args:
        tasks: Tasks to run.
        specs: The models.
        device: Device that they run on.

    Raises:
        InputError: If a task does not suit a model.
    """
    for spec in specs:
        if spec.adapter and "inference" in tasks:
            raise InputError(
                f"{spec.label}: an adapter has no pipeline, so its inference cannot be measured; "
                "omit it, or use --task forward"
            )
        if "loader" in tasks:
            _check_loader(spec)
        if "train" not in tasks:
            continue
        for what in ("deploy", "onnx"):
            if getattr(spec, what):
                raise InputError(f"{spec.label}: {what} is for reading, not for training")
        if spec.precision == "fp16" and device.type == "cpu":
            raise InputError(f"{spec.label}: training in fp16 needs a GPU; use bf16")
    if "train" in tasks:
        _shared_optim_wrapper(specs)


def _check_loader(spec: Specification) -> None:
    if spec.adapter or spec.onnx:
        raise InputError(
            f"{spec.label}: {'an adapter' if spec.adapter else 'an ONNX file'} has no data "
            "pipeline, so its loading cannot be measured; omit it, or use --task forward"
        )


def run_task(
    task: str,
    specs: Sequence[Specification],
    batch_sizes: Sequence[int],
    baseline: str,
    plan: Plan,
) -> list[Measurement]:
    """Measure models in one task.

    Args:
        task: A key of :data:`BATCH_SIZES`.
        specs: The models.
        batch_sizes: Numbers of images per call; each batch size is measured separately.
        baseline: Label of the model that others are compared with.
        plan: Measurement settings.

    Returns:
        One measurement for each model and batch size. That of a model that fails has an ``error``.

    Raises:
        InputError: If a model or task does not support what was requested.
    """
    optim_wrapper = _shared_optim_wrapper(specs) if task == "train" else None
    subjects: list[Subject] = []
    failed: dict[str, str] = {}
    for spec in specs:
        plan.progress(f"{task}: building {spec.label}")
        with _report_failure(spec, failed, plan, RuntimeError):  # others are bad input
            subjects.append(build_subject(spec, plan.device))
    measurements = []
    for batch_size in batch_sizes:
        measured = _run_batch(task, subjects, batch_size, baseline, optim_wrapper, plan)
        for spec in specs:
            if spec.label in failed:
                measurements.append(_measurement(task, spec, batch_size, error=failed[spec.label]))
            else:
                measurements.append(measured[spec.label])
        gc.collect()
    return measurements


@contextmanager
def _report_failure(
    spec: Specification,
    failed: dict[str, str],
    plan: Plan,
    kind: type[Exception] = Exception,
) -> Iterator[None]:
    """Record the error of a model that does not fit into memory or cannot run as requested.

    The others are measured anyway. What was requested wrongly (InputError) ends the benchmark.
    """
    try:
        yield
    except InputError:
        raise
    except kind as error:
        if plan.strict:
            raise
        failed[spec.label] = f"{type(error).__name__}: {error}".splitlines()[0]
        plan.progress(f"{spec.label} failed: {failed[spec.label]}")


def _measurement(task: str, spec: Specification, batch_size: int, **values: Any) -> Measurement:
    return Measurement(
        task=task, model=spec.label, batch_size=batch_size, at=spec.at, base=spec.base, **values
    )


def _shared_optim_wrapper(specs: Sequence[Specification]) -> dict[str, Any] | None:
    """Return the optimiser's config for models that have none: that of the first config."""
    for spec in specs:
        if spec.config:
            return load(spec).get("optim_wrapper")
    if specs:
        raise InputError(
            "--task train takes the optimiser from a config: give one with --models in addition "
            "to the adapter"
        )
    return None


def _run_batch(
    task: str,
    subjects: Sequence[Subject],
    batch_size: int,
    baseline: str,
    optim_wrapper: dict[str, Any] | None,
    plan: Plan,
) -> dict[str, Measurement]:
    calls: dict[str, Call] = {}
    results: dict[str, Measurement] = {}
    failed: dict[str, str] = {}
    for subject in subjects:
        label = subject.spec.label
        results[label] = _measurement(
            task,
            subject.spec,
            batch_size,
            precision=_precision(task, subject, optim_wrapper),
            parameters=subject.parameters,
            macs=subject.macs and subject.macs * _PASSES[task],
        )
        with _report_failure(subject.spec, failed, plan):
            call = _prepare(task, subject, batch_size, optim_wrapper)
            plan.progress(f"{task}, batch {batch_size}: warming up {label}")
            _warm_up(call, subject, results[label], plan)
            calls[label] = call
        results[label].error = failed.get(label)
    counted = [results[label] for label in calls if results[label].macs]
    peaks = {
        precision: matrix_product(precision, plan.device)
        for precision in sorted({result.precision for result in counted})
    }
    runs = {**calls, **{_PEAK.format(name): product for name, (product, _) in peaks.items()}}
    for product, _ in peaks.values():
        product()
    times = measure_in_turns(
        runs,
        rounds=plan.rounds,
        clock=clock_for(plan.device, on_host=task == "inference"),
        min_seconds=plan.min_seconds,
        on_round=lambda number: plan.progress(
            f"{task}, batch {batch_size}: round {number} of {plan.rounds}"
        ),
    )
    for label in calls:
        result = results[label]
        result.times = times[label]
        result.baseline_times = times.get(baseline, ())
    for result in counted:
        _, macs = peaks[result.precision]
        result.peak_macs = macs / summarise(times[_PEAK.format(result.precision)]).median
    return results


def _precision(task: str, subject: Subject, optim_wrapper: dict[str, Any] | None) -> str:
    if task != "train":
        return subject.precision
    is_config = isinstance(subject, ConfigSubject)
    own = subject.cfg.get("optim_wrapper") if is_config else optim_wrapper
    return training_precision(own, subject.spec)


def _prepare(
    task: str, subject: Subject, batch_size: int, optim_wrapper: dict[str, Any] | None
) -> Call:
    if task == "forward":
        return subject.forward_call(batch_size)
    if task == "inference":
        return subject.inference_call(batch_size)
    return subject.train_call(batch_size, optim_wrapper)


def _warm_up(call: Call, subject: Subject, result: Measurement, plan: Plan) -> None:
    clock = clock_for(plan.device, on_host=True)
    result.first_call = clock.seconds(call, 1)
    for _ in range(plan.warm_up - 1):
        call()
    if subject.memory_counts:
        held = bytes_of(subject.persistent_tensors)
        result.peak_memory = held + peak_of_call(call, plan.device)
