"""Test pipelines of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config


def pipeline_of_test(cfg: Config) -> list[dict] | None:
    """Return the test pipeline of a config, as runners and inferencers find it.

    Args:
        cfg: Config of a recogniser.

    Returns:
        The transforms of the test dataset, or else ``test_pipeline``; None without either.
    """
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    return dataset.get("pipeline") or cfg.get("test_pipeline")


def steps_without_tta(pipeline: Sequence[Mapping], tta_pipeline: Sequence[Mapping]) -> list[str]:
    """Find what a test pipeline does to images, and its form for test-time augmentation does not.

    Args:
        pipeline: Test pipeline of a dataset.
        tta_pipeline: Pipeline that is to replace it, with ``TestTimeAug``.

    Returns:
        The types of the transforms that the second one lacks, or has with other arguments; those
        that load images or labels, or pack them, do not count.
    """
    replacing = [without_scope(step) for step in _steps(tta_pipeline)]
    return [
        step["type"]
        for step in pipeline
        if not step["type"].startswith(("Load", "Pack")) and without_scope(step) not in replacing
    ]


def without_scope(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transform's config without the scope that MMEngine adds to inherited ones."""
    return {name: value for name, value in step.items() if name != "_scope_"}


def _steps(tta_pipeline: Sequence[Mapping]) -> Iterator[Mapping[str, Any]]:
    for step in tta_pipeline:
        if step["type"] == "TestTimeAug":
            for alternatives in step["transforms"]:
                yield from alternatives
        else:
            yield step
