"""Packing of word images and their metadata."""

from __future__ import annotations

from collections.abc import Sequence

from mmocr.datasets.transforms import PackTextRecogInputs
from mmocr.registry import TRANSFORMS

_OPTIONAL_KEYS = ("sample_key", "bad_sample")
"""Set to None in samples that lack them."""


@TRANSFORMS.register_module()
class PackWordInputs(PackTextRecogInputs):
    """MMOCR's packing, with two more meta keys, which a sample may lack.

    An image from an LMDB has its own name and a mark whether it is bad; an image passed to the
    inferencer may lack them, and ``PackTextRecogInputs`` would fail on it.

    Args:
        meta_keys: Keys that every sample must have.
    """

    def __init__(
        self, *, meta_keys: Sequence[str] = ("img_path", "ori_shape", "img_shape", "valid_ratio")
    ) -> None:
        super().__init__(meta_keys=(*meta_keys, *_OPTIONAL_KEYS))

    def transform(self, results: dict) -> dict:
        """Pack a sample.

        Args:
            results: ``img`` (H, W, 3) uint8, ``gt_texts`` if known, and the meta keys.

        Returns:
            ``inputs``, a uint8 tensor (3, H, W), and ``data_samples``.
        """
        return super().transform({**dict.fromkeys(_OPTIONAL_KEYS), **results})
