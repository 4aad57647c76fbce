"""How the test of a config prepares its pictures."""

from __future__ import annotations

from mmengine.config import Config


def pipeline_of_test(cfg: Config) -> list[dict] | None:
    """The test pipeline of a config, as runners and inferencers find it.

    Args:
        cfg: A recogniser's config.

    Returns:
        The transforms of the test's data set, or else ``test_pipeline``; None without either.
    """
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    return dataset.get("pipeline") or cfg.get("test_pipeline")
