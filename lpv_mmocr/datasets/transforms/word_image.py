"""Loading of arbitrary images that users pass to an inferencer."""

from __future__ import annotations

import logging
import os

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.logging import print_log
from mmocr.registry import TRANSFORMS

import lpv_onnx

from .loading import decode_image

# Height, width and channels of the grey placeholder for an unreadable image.
_PLACEHOLDER_SHAPE = (32, 100, 3)


@TRANSFORMS.register_module()
class LoadWordImage(BaseTransform):
    """Load a file or an array of any usual kind as an 8-bit BGR image.

    It precedes ``LoadImageFromNDArray``, which MMOCR's inferencers replace by their own loader.
    That loader aborts the call at a file that it cannot decode, and passes grey arrays, alpha
    channels and 16-bit values on to transforms that fail on them. Here, by contrast,

    - a file that cannot be decoded, or an array without pixels, such as a detector's crop at the
      edge of its image, is logged and becomes a grey image with ``bad_sample=True``, so that the
      other files of a list or folder are still read,
    - grey becomes colour, an alpha channel is dropped (not blended), and 16-bit values keep their
      upper 8 bits,
    - the EXIF orientation of a file is followed: a photo is read as a viewer shows it. (Images in
      an LMDB are stored upright, so there it is ignored.)

    A dataset's sample passes unchanged if its image is loaded already (``LPVLMDBDataset``);
    otherwise its ``img_path`` is loaded (MMOCR's ``OCRDataset``). So one pipeline serves inference
    and tests of any dataset. A path that does not exist is an error, as always.
    """

    def transform(self, results: str | os.PathLike | np.ndarray | dict) -> dict:
        """Load an image, unless that has been done.

        Args:
            results: Path or URL of a file; an image of shape (H, W), (H, W, 1), (H, W, 3) in BGR or
                (H, W, 4) in BGRA order, uint8 or uint16; or a dataset's sample, with ``img`` or
                ``img_path``.

        Returns:
            ``img``, (H, W, 3) uint8; for a file also ``img_path`` and ``bad_sample``, and for an
            array without pixels ``bad_sample``. A dataset's sample keeps its other entries.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If an array is not an image.
        """
        if isinstance(results, dict):
            if "img" in results or results.get("img_path") is None:
                return results
            return {**results, **_load_file(results["img_path"])}
        if isinstance(results, np.ndarray):
            if results.ndim in (2, 3) and results.size == 0:
                print_log(
                    f"An image of shape {results.shape} has no pixels; it gets no text.",
                    logger="current",
                    level=logging.WARNING,
                )
                return dict(img=placeholder_image(), bad_sample=True)
            return dict(img=to_bgr(results))
        return _load_file(results)


def _load_file(path: str | os.PathLike) -> dict:
    path = os.fspath(path)
    try:
        image = decode_image(fileio.get(path), follow_exif=True)
    except ValueError as error:
        print_log(
            f"{path} cannot be read as an image ({error}); it gets no text.",
            logger="current",
            level=logging.WARNING,
        )
        return dict(img=placeholder_image(), img_path=path, bad_sample=True)
    return dict(img=image, img_path=path, bad_sample=False)


def placeholder_image() -> np.ndarray:
    """Return the grey placeholder for a file that cannot be decoded, (32, 100, 3) uint8."""
    return np.full(_PLACEHOLDER_SHAPE, 127, dtype=np.uint8)


def to_bgr(image: np.ndarray) -> np.ndarray:
    """Convert an array to an 8-bit colour image.

    Args:
        image: Shape (H, W), (H, W, 1), (H, W, 3) in BGR or (H, W, 4) in BGRA order, uint8 or
            uint16.

    Returns:
        The image in BGR order, uint8, shape (H, W, 3).

    Raises:
        lpv_onnx.ImageError: A ``ValueError``, if the array has another shape or type, or no
            pixels.
    """
    image = lpv_onnx.to_eight_bits(image)
    if image.ndim == 2 or image.shape[-1] == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR)
    return image[..., :3]
