"""Reading pictures of words with an LPV in an ONNX file.

It needs NumPy, Pillow and onnxruntime, and nothing else: neither PyTorch nor MMOCR nor the rest of
this project. The file says itself how pictures are prepared and what its classes mean;
``tools/deployment/export_onnx.py`` writes it. This folder may be copied on its own.

Example:
    >>> from lpv_onnx import Reader
    >>> reader = Reader("lpv.onnx")
    >>> for reading in reader(["a.jpg", "b.jpg"]):
    ...     print(reading.text, reading.confidence, reading.scores)
"""

from .engines import ENGINES
from .looks import Look, read_with_looks
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
    "read_with_looks",
    "to_eight_bits",
    "without_controls",
]
