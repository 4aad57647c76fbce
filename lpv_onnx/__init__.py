"""Reader for pictures of words, with an LPV in an ONNX file.

It needs only NumPy, Pillow and onnxruntime: neither PyTorch nor MMOCR nor the rest of this project.
The file, written by ``tools/deployment/export_onnx.py``, specifies how pictures are prepared and
what its classes mean. This folder can be copied and used on its own.

Example:
    >>> from lpv_onnx import Reader
    >>> reader = Reader("lpv.onnx")
    >>> for reading in reader(["a.jpg", "b.jpg"]):
    ...     print(reading.text, reading.confidence, reading.scores)
"""

from .engines import ENGINES
from .looks import Look, read_with_tta
from .metadata import ModelError
from .pictures import PictureError, load_picture, to_eight_bits
from .printable import json_line, printable, without_controls
from .reader import Reader, Reading

__all__ = [
    "ENGINES",
    "Look",
    "ModelError",
    "PictureError",
    "Reader",
    "Reading",
    "json_line",
    "load_picture",
    "printable",
    "read_with_tta",
    "to_eight_bits",
    "without_controls",
]
