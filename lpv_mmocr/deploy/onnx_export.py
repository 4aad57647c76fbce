"""Export of LPV to an ONNX file, which is checked before it gets its final name."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config
from mmocr.structures import TextRecogDataSample
from torch import nn

from lpv_onnx.metadata import METADATA_KEY

from ..atomic_files import atomic_write
from ..models.lpv import LPV
from .convert import DeployedLPV, to_deploy
from .onnx_check import Comparison, compare
from .onnx_metadata import Preprocessing, describe, encode

PRECISIONS = ("fp32", "fp16", "int8")
OPSET = 20
"""The first opset with GELU as a single operator; readable by onnxruntime 1.17 and newer."""
MIN_TORCH = "2.10"
"""Exporters of older versions fail on this graph, or fix its batch size."""


class OnnxExportError(RuntimeError):
    """The export failed, or the file does not compute what the model does; see the message."""


@dataclass(frozen=True)
class Export:
    """Result of an export.

    Attributes:
        path: Path of the file.
        size: Size in bytes.
        metadata: Metadata in the file; see :func:`~.onnx_metadata.describe`.
        comparison: Comparison of its logits with those of PyTorch.
    """

    path: Path
    size: int
    metadata: dict
    comparison: Comparison


class ReadingGraph(nn.Module):
    """Part of a deployed model that is exported: from images to logits.

    Args:
        model: Deployed model.
        attention: Whether the attention maps are a second output.
    """

    def __init__(self, model: DeployedLPV, attention: bool) -> None:
        super().__init__()
        self.model = model
        self.attention = attention

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Compute the outputs of the graph.

        Args:
            images: Images of shape (N, C, H, W), normalised, float32.

        Returns:
            Logits of shape (N, T, C), and, if requested, attention maps of shape
            (N, S, T, h, w); both float32.
        """
        decoder = self.model.decoder
        characters, maps = zip(*decoder.cascade(self.model.features(images)), strict=True)
        logits = decoder.classifiers[-1](characters[-1]).float()
        return (logits, torch.stack(maps, 1).float()) if self.attention else logits


def export_onnx(
    model: LPV,
    cfg: Config,
    out: str | os.PathLike,
    *,
    precision: str = "fp32",
    attention: bool = False,
    mask: bool | None = None,
    source: str | None = None,
) -> Export:
    """Export a model to an ONNX file that contains everything needed for reading.

    Batch norms are folded and earlier classifiers dropped, as in :func:`to_deploy`. The file is
    checked and compared with the model under a temporary name; only then does it replace an
    existing file at ``out``.

    Args:
        model: Trained model; not modified.
        cfg: Config of the model, whose test pipeline sets how images are prepared.
        out: File to write.
        precision: ``fp32``; ``fp16`` (attention maps, which decide the mask, stay float32); or
            ``int8``: weights of the linear layers in 7 of 8 bits with one scale per output, their
            inputs quantised to 8 bits at run time (onnxruntime's dynamic quantisation).
        attention: Whether the attention maps of all stages are a second output.
        mask: Whether the GLRMs hide a character's tokens from one another; by default as in the
            model.
        source: Name of the checkpoint, stored in the metadata.

    Returns:
        Result of the export.

    Raises:
        ValueError: If the precision is unknown, the model cannot be deployed, the encoder uses
            more than the images, the mask is requested without a GLRM, or the reader does not
            support the pipeline.
        OSError: If the file cannot be written.
        OnnxExportError: If a package is missing or too old, the graph is not valid ONNX, or it does
            not compute what the model does.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    _require_packages()
    dtype = torch.float16 if precision == "fp16" else torch.float32
    deployed = to_deploy(model, dtype=dtype, device="cpu", packed=False)
    preprocessing = Preprocessing.of(cfg)
    if _needs_more_than_images(deployed, preprocessing):
        raise ValueError(
            f"{type(deployed.encoder).__name__} looks at more than the images (data_samples), "
            "which an ONNX file does not receive"
        )
    decoder = deployed.decoder
    if mask and not decoder.glrms:
        raise ValueError("the mask belongs to the GLRMs, and this model has none: leave it off")
    decoder.with_mask = decoder.with_mask if mask is None else mask
    metadata = describe(
        deployed,
        preprocessing,
        precision=precision,
        attention=attention,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        source=source,
    )
    out = Path(out)
    _prepare_folder(out)
    # Drafts are made elsewhere, because quantisation needs a second file.
    with atomic_write(out) as file, tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "draft.onnx")
        _trace(ReadingGraph(deployed, attention), preprocessing, draft)
        if precision == "int8":
            _quantise(draft)
        _finish(draft, metadata)
        comparison = compare(model, draft, preprocessing, decoder.with_mask)
        if not comparison.passes(precision):
            raise OnnxExportError(
                f"{out} was not written: in onnxruntime the {precision} graph does not compute "
                f"what the model computes ({comparison})"
            )
        file.write(draft.read_bytes())
    return Export(out, out.stat().st_size, metadata, comparison)


def _needs_more_than_images(model: DeployedLPV, preprocessing: Preprocessing) -> bool:
    """Return whether data samples change the result, tried on an image that is half padding."""
    if model.reads_images_alone:
        return False
    image = torch.rand(1, *preprocessing.shape, generator=torch.Generator().manual_seed(0))
    half = TextRecogDataSample(metainfo=dict(valid_ratio=0.5))
    try:
        alone, told = model.logits(image), model.logits(image, [half])
    except (AttributeError, KeyError, TypeError):  # it requires samples, or other fields in them
        return True
    return not torch.allclose(alone, told, rtol=0, atol=0, equal_nan=True)


def _require_packages() -> None:
    # PyTorch's exporter needs onnxscript.
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise OnnxExportError(
            f"exporting needs {', '.join(missing)}: pip install 'lpv-mmocr[onnx]'"
        )
    # Containers have builds such as 2.10.0a0, which count as 2.10 here.
    if _major_minor(torch.__version__) < _major_minor(MIN_TORCH):
        raise OnnxExportError(
            f"exporting needs torch {MIN_TORCH} or newer, and this is {torch.__version__}; reading "
            "the exported file does not need torch"
        )


def _major_minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _prepare_folder(out: Path) -> None:
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; name a file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{out} cannot be written ({error.strerror})") from error


def _trace(graph: ReadingGraph, preprocessing: Preprocessing, file: Path) -> None:
    images = torch.zeros(2, *preprocessing.shape)
    outputs = ["logits", "attention"] if graph.attention else ["logits"]
    # Some versions of onnxscript print what they have done.
    with warnings.catch_warnings(), torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval().to(memory_format=torch.contiguous_format),
            (images,),
            file,
            input_names=["images"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantise(file: Path) -> None:
    """Quantise the linear layers of a file in place.

    Convolutions, a tenth of the work, stay in float: onnxruntime has no fast kernel for them here.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = file.with_name("prepared.onnx")
    # Symbolic shapes are not needed, and would need another package.
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    quantize_dynamic(
        prepared,
        file,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        # Processors without VNNI add two products in 16 bits, and clip the sum: with weights from
        # -64 to 64, it fits (2 x 64 x 255 < 2^15), so that a file computes the same everywhere.
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )


def _finish(file: Path, metadata: dict) -> None:
    """Add the metadata and check the file."""
    import onnx

    graph = onnx.load(file)
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {METADATA_KEY: encode(metadata)})
    graph.producer_name = "lpv-mmocr"
    graph.producer_version = metadata["lpv_mmocr"]
    # Names of the exporter's passes and of source files on this machine are of no use.
    for node in graph.graph.node:
        del node.metadata_props[:]
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OnnxExportError(f"the exported graph is not valid ONNX: {error}") from error
    onnx.save(graph, file)
