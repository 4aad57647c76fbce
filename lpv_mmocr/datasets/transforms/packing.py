"""Packing of word images and their metadata."""

from __future__ import annotations

from collections.abc import Sequence

from mmocr.datasets.transforms import PackTextRecogInputs
from mmocr.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackWordInputs(PackTextRecogInputs):
    """MMOCR's packing, with optional meta keys.

    An image from an LMDB has its own name and a mark whether it is bad; an image passed to the
    inferencer may lack them, and ``PackTextRecogInputs`` would fail on it.

    Args:
        meta_keys: Keys that every sample must have.
        optional_keys: Keys that are set to None in samples that lack them.
    """

    def __init__(
        self,
        *,
        meta_keys: Sequence[str] = ("img_path", "ori_shape", "img_shape", "valid_ratio"),
        optional_keys: Sequence[str] = ("sample_key", "bad_sample"),
    ) -> None:
        super().__init__(meta_keys=(*meta_keys, *optional_keys))
        self.optional_keys = tuple(optional_keys)

    def transform(self, results: dict) -> dict:
        """Pack a sample.

        Args:
            results: ``img`` (H, W, 3) uint8, ``gt_texts`` if known, and the meta keys.

        Returns:
            ``inputs``, a uint8 tensor (3, H, W), and ``data_samples``.
        """
        return super().transform({**dict.fromkeys(self.optional_keys), **results})
