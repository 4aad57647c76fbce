"""Reading pictures that users hand to an inferencer, whatever they look like."""

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

# Height, width and channels of the grey picture that stands for one that cannot be read.
_PLACEHOLDER_SHAPE = (32, 100, 3)


@TRANSFORMS.register_module()
class LoadWordImage(BaseTransform):
    """Turns a file or an array of any usual kind into a BGR picture of 8 bits.

    It stands in front of ``LoadImageFromNDArray``, which MMOCR's inferencers replace by a loader of
    their own. That loader stops the whole call at a file that it cannot decode, and hands grey
    arrays, alpha channels and 16-bit values on to transforms that fail on them. Here

    - a file that cannot be decoded, or an array without a pixel, such as a detector's crop at the
      edge of its picture, is named in the log and becomes a grey picture with
      ``bad_sample=True``, so that the other files of a list or folder are still read,
    - grey becomes colour, an alpha channel is dropped (not blended), and 16-bit values keep their
      upper 8 bits,
    - the EXIF orientation of a file is followed: a photo is read as a viewer shows it. (Pictures of
      an LMDB are stored upright, so there it is ignored.)

    A sample that a data set has already loaded passes unchanged, so that one pipeline serves tests
    and inference. A path that does not exist is an error, as always.
    """

    def transform(self, results: str | os.PathLike | np.ndarray | dict) -> dict:
        """Load a picture, if that has not been done.

        Args:
            results: Path or URL of a file; a picture of shape (H, W), (H, W, 1), (H, W, 3) in BGR
                or (H, W, 4) in BGRA order, uint8 or uint16; or a data set's sample.

        Returns:
            ``img``, (H, W, 3) uint8, and ``img_path`` and ``bad_sample`` where it was a file.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If an array is not a picture.
        """
        if isinstance(results, dict):
            return results
        if isinstance(results, np.ndarray):
            if results.ndim in (2, 3) and results.size == 0:  # of a detector, at a picture's edge
                print_log(
                    f"A picture of shape {results.shape} has no pixel; it gets no text.",
                    logger="current",
                    level=logging.WARNING,
                )
                return dict(img=unreadable(), bad_sample=True)
            return dict(img=to_bgr(results))
        path = os.fspath(results)
        try:
            image = decode_image(fileio.get(path), upright=False)
        except ValueError as error:
            print_log(
                f"{path} cannot be read as a picture ({error}); it gets no text.",
                logger="current",
                level=logging.WARNING,
            )
            return dict(img=unreadable(), img_path=path, bad_sample=True)
        return dict(img=image, img_path=path, bad_sample=False)


def unreadable() -> np.ndarray:
    """The grey picture that stands for a file that cannot be decoded, (32, 100, 3) uint8."""
    return np.full(_PLACEHOLDER_SHAPE, 127, dtype=np.uint8)


def to_bgr(image: np.ndarray) -> np.ndarray:
    """Bring an array into the form of a colour picture of 8 bits.

    Args:
        image: Shape (H, W), (H, W, 1), (H, W, 3) in BGR or (H, W, 4) in BGRA order, uint8 or
            uint16.

    Returns:
        The picture in BGR order, uint8, shape (H, W, 3).

    Raises:
        lpv_onnx.PictureError: A ``ValueError``, if it has another shape or type, or no pixel.
    """
    image = lpv_onnx.to_eight_bits(image)
    if image.ndim == 2 or image.shape[-1] == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR)
    return image[..., :3]
