"""Tests of comparing confidence with accuracy."""

from __future__ import annotations

from lpv_mmocr.reporting.calibration import Calibration

import numpy as np
import pytest


def calibrate(confidences, correct) -> Calibration:
    calibration = Calibration()
    for confidence, is_correct in zip(confidences, correct, strict=True):
        calibration.add(float(confidence), bool(is_correct))
    return calibration


def test_expected_calibration_error_equals_numpys():
    rng = np.random.default_rng(0)
    confidences = rng.beta(5, 1, 3000)
    correct = rng.random(3000) < confidences**2
    bins = np.digitize(confidences, np.linspace(0, 1, 11)[1:-1])
    expected = sum(
        (bins == b).mean() * abs(correct[bins == b].mean() - confidences[bins == b].mean())
        for b in np.unique(bins)
    )
    calibration = calibrate(confidences, correct)
    assert calibration.error == pytest.approx(expected, abs=1e-9)
    assert [each.count for each in calibration.bins] == np.bincount(bins, minlength=10).tolist()


def test_calibration_error_ranges_from_0_to_1():
    assert calibrate([1.0, 1.0], [True, True]).error == 0
    assert calibrate([1.0, 0.0], [False, True]).error == 1


def test_confidences_at_edges_fall_into_a_bin():
    calibration = calibrate([0.0, 0.1, 0.999, 1.0, 1.0000001, -1e-9], [True] * 6)
    assert [each.count for each in calibration.bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert calibration.total.confidence <= 1


def test_without_words_there_is_no_error():
    assert Calibration().total.count == 0
    with pytest.raises(ZeroDivisionError):
        _ = Calibration().error
