"""Packing of a word picture and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence

from mmocr.datasets.transforms import PackTextRecogInputs
from mmocr.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackWordInputs(PackTextRecogInputs):
    """MMOCR's packing, with meta keys that need not be there.

    A picture from an LMDB has a name of its own and may be marked as bad; a picture handed to the
    inferencer has neither, and ``PackTextRecogInputs`` would stop at it.

    Args:
        meta_keys: Keys that every sample must have.
        optional_keys: Keys that become None in the sample where they are missing.
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
            results: ``img`` (H, W, 3) uint8, ``gt_texts`` where known, and the meta keys.

        Returns:
            ``inputs``, a uint8 tensor (3, H, W), and ``data_samples``.
        """
        return super().transform({**dict.fromkeys(self.optional_keys), **results})
