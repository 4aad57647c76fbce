"""Reader for images of words, with an LPV in an ONNX file.

It needs only NumPy, Pillow and onnxruntime: neither PyTorch nor MMOCR nor the rest of this project.
The file, written by ``tools/deployment/export_onnx.py``, specifies how images are prepared and
what its classes mean. This folder can be copied and used on its own.

Example:
    >>> from lpv_onnx import Reader
    >>> reader = Reader("lpv.onnx")
    >>> for reading in reader(["a.jpg", "b.jpg"]):
    ...     print(reading.text, reading.confidence, reading.scores)
"""

from .engines import ENGINES
from .image_loading import ImageError, load_image, to_eight_bits
from .looks import Look, read_with_tta
from .metadata import ModelError
from .printable import json_line, printable, without_controls
from .reader import Reader, Reading

__all__ = [
    "ENGINES",
    "ImageError",
    "Look",
    "ModelError",
    "Reader",
    "Reading",
    "json_line",
    "load_image",
    "printable",
    "read_with_tta",
    "to_eight_bits",
    "without_controls",
]
