"""Tests of which protocol an evaluator compares by."""

from __future__ import annotations

from lpv_mmocr.evaluation import BenchmarkMetric, TextProtocol
from lpv_mmocr.evaluation.evaluator_protocol import protocol_of
from lpv_mmocr.evaluation.text_protocol import ExactText

import pytest
from mmocr.evaluation import OneMinusNEDMetric, WordMetric


@pytest.mark.parametrize(
    ("metrics", "protocol"),
    [
        ([BenchmarkMetric()], TextProtocol()),
        (
            [WordMetric(mode="exact"), BenchmarkMetric(case_sensitive=True)],
            TextProtocol(case_sensitive=True),
        ),
        ([OneMinusNEDMetric(), WordMetric(mode="exact")], ExactText()),
        ([WordMetric(mode=["exact", "ignore_case"])], None),
        ([WordMetric()], None),
        ([OneMinusNEDMetric()], None),
    ],
)
def test_protocol_is_that_of_the_metrics(metrics, protocol):
    found = protocol_of(metrics)
    assert (type(found), found) == (type(protocol), protocol)
