"""Tests of comparing an exported file with the model."""

from __future__ import annotations

from lpv_mmocr.deploy import onnx_check
from lpv_mmocr.deploy.onnx_check import Comparison, drawn_images, reference
from lpv_mmocr.deploy.onnx_metadata import Preprocessing

import numpy as np
import pytest
import torch
from deploy_cases import images, plain_logits, settle
from lpv_cases import build_toy


@pytest.mark.parametrize(
    ("precision", "difference", "deviation", "rounding", "passes"),
    [
        ("fp32", 9e-5, 1e-5, 1e-7, True),
        ("fp32", 2e-4, 1e-5, 1e-6, False),
        ("fp32", 2e-4, 1e-5, 4e-6, True),
        ("fp32", float("inf"), float("inf"), 1e-6, False),
        ("fp32", float("inf"), float("inf"), float("nan"), False),
        ("fp16", 1.0, 0.01, 0.0, True),
        ("fp16", 0.0, 0.03, 0.0, False),
        ("int8", 1.0, 0.1, 0.0, True),
        ("int8", 1.0, float("inf"), 0.0, False),
    ],
)
def test_limits_depend_on_precision_and_rounding(
    precision, difference, deviation, rounding, passes
):
    assert Comparison(8, 0, difference, deviation, rounding).passes(precision) is passes


def test_comparison_as_text():
    text = str(Comparison(images=9, at_threshold=3, difference=2e-5, deviation=1e-6, rounding=5e-7))
    assert text == (
        "logits of 9 drawn words differ by up to 2.0e-05, 1.0e-06 of their spread "
        "(float32 rounding alone: 5.0e-07); 3 more left out at the mask's threshold"
    )


def test_reference_uses_the_plain_model_without_changing_it():
    model = settle(build_toy(with_mask=True)).train()
    batch = images(model.eval(), 2)
    expected = plain_logits(model, batch)
    model.train()
    logits, clear = reference(model, batch, mask=True)
    assert torch.equal(logits, expected)
    assert model.training
    assert model.decoder.with_mask
    assert clear.dtype is torch.bool
    unmasked, all_clear = reference(model, batch, mask=False)
    assert not torch.equal(unmasked, expected)
    assert all_clear.all()


def test_words_at_the_threshold_are_found():
    # With two stages, only the first stage's maps determine the mask, and they do not depend on the
    # threshold. Its U-Net is wider than the toy's 3 channels, which are sometimes all dead.
    model = settle(build_toy(with_mask=True, num_stages=2, attention=dict(key_dim=16)))
    batch = images(model, 3)
    with torch.no_grad():
        first, middle, last = model.decoder.forward_train(out_enc=model.encoder(batch))[
            "attn_maps"
        ][0].flatten(1)
    # The threshold is the weight of the second word that is furthest from those of the others.
    distances = (middle[:, None] - torch.cat([first, last])).abs().amin(1)
    model.decoder.mask_threshold = float(middle[distances.argmax()])
    _, clear = reference(model, batch, mask=True)
    assert clear.tolist() == [True, False, True]


@pytest.mark.parametrize("any_clear", [True, False])
def test_file_that_writes_nan_does_not_pass(monkeypatch, any_clear):
    def start(*args, **options):
        return lambda batch: [np.full((len(batch), 27, 38), np.nan, np.float32)], None

    def judge(model, images, mask):
        logits, clear = reference(model, images, mask)
        return logits, clear & any_clear

    monkeypatch.setattr(onnx_check, "start", start)
    monkeypatch.setattr(onnx_check, "reference", judge)
    shape = Preprocessing(16, 40, "bicubic", (0,) * 3, (255,) * 3, "rgb")
    compared = onnx_check.compare(settle(build_toy()).eval(), "no.onnx", shape, mask=False)
    assert (compared.images, compared.at_threshold) == (16, 0), "if none is clear, all are compared"
    for precision in ("fp32", "fp16", "int8"):
        assert not compared.passes(precision)


def test_drawn_images_have_the_input_size_and_differ():
    images = drawn_images(Preprocessing(16, 40, "bicubic", (0,) * 3, (255,) * 3, "rgb"), 3)
    assert [tuple(image.shape) for image in images] == [(3, 16, 40)] * 3
    assert all(image.dtype is torch.uint8 for image in images)
    assert not torch.equal(images[0], images[1])
