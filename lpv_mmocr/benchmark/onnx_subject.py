"""Exported LPV models, measured alongside PyTorch models."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lpv_onnx import Reader

from ..cli import InputError
from . import samples
from .specification import Specification
from .subject import Call, Subject


class _Network(nn.Module):
    """The network of a reader as a module; its weights are not PyTorch's."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, images: torch.Tensor) -> list:
        return self.reader.run(images.numpy())


class OnnxSubject(Subject):
    """The network in an ONNX file of this project, run by ``lpv_onnx``.

    It uses as many threads as PyTorch. Neither its operations nor its memory are counted.

    Args:
        spec: Specification that names a file and an engine.
        device: Device to run on; only ``cpu``.

    Raises:
        InputError: If the file cannot be used, or the device is not ``cpu``.
    """

    memory_counts = False

    def __init__(self, spec: Specification, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"{spec.label}: ONNX files are measured on the CPU; give --device cpu")
        file, engine = spec.onnx
        try:
            self.reader = Reader(file, engine=engine, threads=torch.get_num_threads(), tta=False)
        except (OSError, ValueError, ImportError) as error:
            raise InputError(f"{spec.label}: {error}") from error
        settings = self.reader.metadata["preprocessing"]
        shape = (3, settings["height"], settings["width"])
        super().__init__(spec, _Network(self.reader), shape, device)
        self.parameters = self.reader.metadata["parameters"]

    @property
    def precision(self) -> str:
        """Precision of the engine, or of the weights in the file."""
        return self.spec.precision or self.reader.metadata["precision"]

    def _forward(self, model: nn.Module, images: torch.Tensor) -> object:
        return model(images)

    def inference_call(self, number: int) -> Call:
        """See :meth:`Subject.inference_call`; the reader decodes and resizes the images."""
        self.reader.batch_size = number
        encoded = samples.encoded_images(number)
        return lambda: self.reader(encoded)

    def train_call(self, number: int, optim_wrapper: dict[str, Any]) -> Call:
        """Raise an error, since ONNX files cannot be trained."""
        raise InputError(f"{self.spec.label}: an ONNX file cannot be trained; omit --task train")
