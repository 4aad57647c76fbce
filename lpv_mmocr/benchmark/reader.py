"""The whole way from an encoded picture to its text."""

from __future__ import annotations

from copy import deepcopy

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmocr.apis import TextRecInferencer
from torch import nn


class Reader(TextRecInferencer):
    """MMOCR's inferencer around a model that is there already.

    Args:
        cfg: Config with ``test_dataloader``, whose pipeline is used.
        model: The model, or what stands for it: something with ``test_step``.
        device: Where it runs.
    """

    def __init__(self, cfg: Config, model: nn.Module, device: torch.device) -> None:
        self._given = model
        cfg = deepcopy(cfg)
        # Nothing is drawn.
        cfg.pop("visualizer", None)
        super().__init__(model=cfg, device=str(device))

    def _init_model(self, cfg: Config, weights: str | None, device: str = "cpu") -> nn.Module:
        return self._given

    def read(self, encoded: list[bytes]) -> list[dict]:
        """Read pictures as one batch.

        Args:
            encoded: Contents of picture files.

        Returns:
            For each picture ``text`` and ``scores``, as the inferencer gives them.
        """
        pictures = [
            cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) for content in encoded
        ]
        return self(pictures, batch_size=len(pictures), progress_bar=False)["predictions"]
