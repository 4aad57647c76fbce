"""Test pipeline of a config."""

from __future__ import annotations

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
