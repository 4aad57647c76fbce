"""Tests of real measurements of toy models, regardless of their speed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lpv_mmocr.benchmark import tasks
from lpv_mmocr.benchmark.machine import matrix_product
from lpv_mmocr.benchmark.memory import bytes_of, peak_of_call
from lpv_mmocr.benchmark.specification import parse_adapter, parse_model
from lpv_mmocr.benchmark.subjects import build_subject
from lpv_mmocr.benchmark.tasks import check, run_task
from lpv_mmocr.benchmark.work import count_macs
from lpv_mmocr.cli import InputError
from lpv_mmocr.engine.amp import AutocastOptimWrapper

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

CPU = torch.device("cpu")
REFERENCE = Path(__file__).parents[1] / "reference_lpv.py"


def test_forward_task_measures_configs_and_adapters(toy_file, adapter_file, quick):
    specs = [
        parse_model(toy_file),
        parse_model(f"{toy_file}:bf16"),
        parse_adapter(f"{adapter_file}:flat"),
    ]
    found = run_task("forward", specs, [1, 2], "toy", quick)
    assert [(m.model, m.batch_size) for m in found] == [
        (label, size) for size in (1, 2) for label in ("toy", "toy:bf16", "flat")
    ]
    assert [m.precision for m in found[:3]] == ["fp32", "bf16", "fp32"]
    for measurement in found:
        assert measurement.error is None
        assert len(measurement.times) == 2
        assert measurement.share_of_peak > 0
    assert found[2].parameters == 3 * 8 * 16 * 5 + 5
    assert found[2].macs == 3 * 8 * 16 * 5
    assert found[0].speed.median == 1.0


def test_training_step_changes_the_weights(toy_file, adapter_file):
    for spec in (parse_model(toy_file), parse_adapter(f"{adapter_file}:flat")):
        subject = build_subject(spec, CPU)
        optimiser = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
        call = subject.train_call(2, optimiser)
        before = [p.detach().clone() for p in subject.model.parameters()]
        call()
        changed = zip(before, subject.model.parameters(), strict=True)
        assert any(not torch.equal(old, new) for old, new in changed)
        assert subject.model.training


def test_training_encodes_targets_in_every_step(toy_file, monkeypatch):
    subject = build_subject(parse_model(toy_file), CPU)
    call = subject.train_call(3, {})
    encoded = []
    loss = subject.model.decoder.module_loss
    encode = loss._encode
    monkeypatch.setattr(loss, "_encode", lambda *args: encoded.append(1) or encode(*args))
    call()
    call()
    assert len(encoded) == 6


def test_training_task_measures_configs_and_adapters(toy_file, adapter_file, quick):
    specs = [parse_model(f"{toy_file}:bf16"), parse_adapter(f"{adapter_file}:flat")]
    toy, flat = run_task("train", specs, [2], "toy:bf16", quick)
    assert toy.precision == "bf16"
    assert isinstance(build_wrapper(toy_file, "bf16"), AutocastOptimWrapper)
    assert not isinstance(build_wrapper(toy_file, "fp32"), AutocastOptimWrapper)
    assert flat.macs == 3 * (3 * 8 * 16 * 5)
    # Adam keeps two moments in addition to the weights.
    assert toy.peak_memory > 3 * 4 * toy.parameters
    assert toy.times and flat.times


def build_wrapper(config: str, precision: str) -> OptimWrapper:
    subject = build_subject(parse_model(f"{config}:{precision}"), CPU)
    subject.train_call(1, {})
    return subject.wrapper


def test_inference_reads_texts(toy_file):
    subject = build_subject(parse_model(toy_file), CPU)
    predictions = subject.inference_call(3)()
    assert len(predictions) == 3
    assert all(isinstance(prediction["text"], str) for prediction in predictions)


def test_deployed_model_reads_the_same(toy_file):
    plain = build_subject(parse_model(toy_file), CPU)
    deployed = build_subject(parse_model(f"{toy_file}:deploy"), CPU)
    assert type(deployed.model).__name__ == "DeployedLPV"
    assert (deployed.parameters, deployed.macs) == (plain.parameters, plain.macs)
    texts = [[p["text"] for p in subject.inference_call(3)()] for subject in (deployed, plain)]
    assert texts[0] == texts[1]
    expected = plain.forward_call(2)()
    torch.testing.assert_close(deployed.forward_call(2)(), expected, rtol=0, atol=1e-4)
    half = build_subject(parse_model(f"{toy_file}:deploy:bf16"), CPU)
    assert half.model.dtype == torch.bfloat16
    # Packed weights count too, and are the largest part.
    assert plain.parameters < bytes_of(half.persistent_tensors) < 4 * plain.parameters


def test_model_without_to_deploy_is_refused():
    with pytest.raises(InputError, match="mmocr:crnn:deploy: CRNN has no to_deploy"):
        build_subject(parse_model("mmocr:crnn:deploy"), CPU)


def test_other_models_use_their_own_image_size():
    subject = build_subject(parse_model("mmocr:crnn"), CPU)
    assert subject.shape == (1, 32, 96)
    assert subject.macs > 0


def test_failing_model_does_not_stop_the_others(toy_file, adapter_file, quick):
    specs = [parse_adapter(f"{adapter_file}:broken"), parse_adapter(f"{adapter_file}:flat")]
    broken, flat = run_task("forward", specs, [1], "broken", quick)
    assert broken.error == "RuntimeError: does not run"
    assert broken.latency is None and broken.macs is None
    assert flat.times and flat.speed is None
    with pytest.raises(RuntimeError, match="does not run"):
        run_task("forward", specs, [1], "broken", replace(quick, strict=True))


@pytest.mark.parametrize("name", ["build_subject", "_prepare"])
def test_model_that_cannot_be_set_up_does_not_stop_the_others(
    adapter_file, quick, monkeypatch, name
):
    """As if one did not fit into memory."""
    whole = getattr(tasks, name)

    def limited(*arguments):
        if any(getattr(getattr(a, "spec", a), "label", "") == "broken" for a in arguments):
            raise torch.OutOfMemoryError("too large")
        return whole(*arguments)

    monkeypatch.setattr(tasks, name, limited)
    specs = [parse_adapter(f"{adapter_file}:broken"), parse_adapter(f"{adapter_file}:flat")]
    found = run_task("forward", specs, [1, 2], "flat", quick)
    names = [(row.model, row.batch_size) for row in found]
    assert names == [("broken", 1), ("flat", 1), ("broken", 2), ("flat", 2)]
    assert [row.error for row in found] == ["OutOfMemoryError: too large", None] * 2
    assert found[1].times and not found[0].times


def test_impossible_measurements_are_refused(toy_file, adapter_file, quick):
    flat = parse_adapter(f"{adapter_file}:flat")
    with pytest.raises(InputError, match="flat: an adapter has no pipeline"):
        check(["forward", "inference"], [flat], CPU)
    with pytest.raises(InputError, match="takes the optimiser from a config"):
        check(["train"], [flat], CPU)
    with pytest.raises(InputError, match="lpv-tiny:deploy: deploy is for reading"):
        check(["train"], [parse_model("lpv-tiny:deploy")], CPU)
    with pytest.raises(InputError, match="onnx:x: onnx is for reading"):
        check(["train"], [parse_model("onnx:x.onnx")], CPU)
    with pytest.raises(InputError, match=r"lpv-tiny:fp16: training in fp16 needs a GPU; use bf16"):
        check(["train"], [parse_model("lpv-tiny:fp16")], CPU)
    check(["train"], [parse_model("lpv-tiny:fp16")], torch.device("cuda"))
    with pytest.raises(InputError, match="flat: an adapter has no data pipeline"):
        check(["forward", "loader"], [flat], CPU)
    broken = parse_adapter(f"{adapter_file}:broken")
    with pytest.raises(InputError, match=r"needs a method loss\(images, texts\)"):
        run_task("train", [parse_model(toy_file), broken], [1], "toy", quick)
    with pytest.raises(InputError, match=r"fp16.*needs a GPU; use bf16"):
        run_task("train", [parse_model(f"{toy_file}:fp16")], [1], "toy:fp16", quick)


def test_reference_lpv_is_an_adapter():
    reference = build_subject(parse_adapter(f"{REFERENCE}:lpv_tiny"), CPU)
    ours = build_subject(parse_model("lpv-tiny"), CPU)
    assert reference.parameters == ours.parameters
    assert reference.shape == ours.shape
    assert reference.macs == pytest.approx(ours.macs, rel=0.01)
    assert reference.forward_call(1)().shape == (1, 27, 38)


def test_counting_macs_leaves_the_model_unchanged():
    model = nn.Conv2d(3, 4, 3, bias=False)
    assert count_macs(model, (5, 7), forward=lambda m, x: m(x)) == 3 * 4 * 9 * 3 * 5
    assert model.weight.device.type == "cpu"


def test_matrix_product_counts_its_macs():
    product, macs = matrix_product("bf16", CPU, side=8)
    assert macs == 512
    assert product().shape == (8, 8)
    assert product().dtype == torch.bfloat16


def test_the_faster_matrix_product_is_the_peak(monkeypatch):
    used = []

    class Clock:
        def seconds(self, run, calls):
            used.append(run)
            return 1.0 if len(used) <= 3 else 0.5  # the first library, then the second

    monkeypatch.setattr("lpv_mmocr.benchmark.machine.clock_for", lambda device: Clock())
    product, _ = matrix_product("fp32", CPU, side=8)
    assert product is used[-1]


def test_peak_memory_counts_live_tensors():
    def call() -> None:
        first = torch.empty(1 << 20, dtype=torch.uint8)
        second = torch.empty(2 << 20, dtype=torch.uint8)
        del first
        del second
        torch.empty(1 << 20, dtype=torch.uint8)

    assert peak_of_call(call, CPU) == 3 << 20


def test_channels_last_sets_the_memory_format(toy_file):
    subject = build_subject(parse_model(f"{toy_file}:channels_last"), CPU)
    assert subject.images(2).is_contiguous(memory_format=torch.channels_last)
    subject.forward_call(2)()


def test_rounds_are_reported(toy_file, adapter_file, quick):
    lines = []
    specs = [parse_adapter(f"{adapter_file}:flat")]
    run_task("forward", specs, [1], "flat", replace(quick, progress=lines.append))
    assert lines[-1] == "forward, batch 1: round 2 of 2"
