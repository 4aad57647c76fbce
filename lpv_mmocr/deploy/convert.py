"""Conversion of a trained LPV to one for inference only, as fast as the machine allows."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from copy import deepcopy

import torch
from mmocr.models.textrecog import ASTEREncoder, ChannelReductionEncoder, SVTREncoder
from mmocr.structures import TextRecogDataSample

from ..bfloat16 import cpu_emulates_bfloat16
from ..models.cpa_decoder import CPADecoder
from ..models.lpv import LPV
from ..models.svtr_encoder import LPVSVTREncoder
from .layers import fold_batch_norm, pack, replace_layers, standard_layers
from .onednn import can_pack

_READ_IMAGES_ALONE = (LPVSVTREncoder, SVTREncoder, ChannelReductionEncoder, ASTEREncoder)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Float types that a model can be deployed in."""

MIN_SLICE = 16
IMAGES_PER_THREAD = 4


class DeployedLPV(LPV):
    """LPV for inference, made by :func:`to_deploy`; it can be neither trained nor saved.

    Attributes:
        dtype: Float type of the computation, to which images are converted.
    """

    dtype: torch.dtype

    @property
    def reads_images_alone(self) -> bool:
        """Whether the encoder is known to use nothing but the images.

        Some of MMOCR's encoders mask by ``valid_ratio``; others require ``data_samples``. So may a
        class derived from a known encoder.
        """
        if not self.with_encoder or type(self.encoder) in _READ_IMAGES_ALONE:
            return True
        return "data_samples" not in inspect.signature(self.encoder.forward).parameters

    def probabilities(
        self, inputs: torch.Tensor, data_samples: Sequence[TextRecogDataSample] | None = None
    ) -> torch.Tensor:
        """Return the class probabilities of the last stage.

        Args:
            inputs: Images of shape (N, C, H, W), normalised.
            data_samples: N samples, for an encoder that uses them.

        Returns:
            Probabilities of shape (N, T, C), float32.
        """
        return self.logits(inputs, data_samples).softmax(-1)

    @torch.inference_mode()
    def logits(
        self, inputs: torch.Tensor, data_samples: Sequence[TextRecogDataSample] | None = None
    ) -> torch.Tensor:
        """Return the logits of the last stage.

        Args:
            inputs: Images of shape (N, C, H, W), normalised.
            data_samples: N samples, for an encoder that uses them.

        Returns:
            Logits of shape (N, T, C), float32.
        """
        # None where possible: compiled code would treat each batch of them as new.
        samples = None if self.reads_images_alone or data_samples is None else list(data_samples)
        size = self.images_at_once(inputs)
        parts = []
        for number, part in enumerate(inputs.split(size)):
            logits = self._read(part, samples and samples[number * size :][: len(part)])
            # A copy: compiled code may return memory that its next call overwrites.
            parts.append(logits.to(torch.float32, copy=True))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @staticmethod
    def images_at_once(images: torch.Tensor) -> int:
        """Return how many images go through the network at once.

        On a CPU, larger batches are slower per image: arrays of more than 32 MB are returned to the
        system after each use, and allocating them again costs up to a third of the time.

        Args:
            images: Batch of shape (N, C, H, W).

        Returns:
            Number of images; on a GPU, all of the batch.
        """
        if images.device.type != "cpu":
            return len(images)
        return max(MIN_SLICE, IMAGES_PER_THREAD * torch.get_num_threads())

    def features(
        self, images: torch.Tensor, data_samples: list[TextRecogDataSample] | None = None
    ) -> torch.Tensor:
        """Compute the input of the decoder.

        Args:
            images: Images of shape (N, C, H, W), normalised, float32.
            data_samples: N samples, for an encoder that uses them.

        Returns:
            Features in the float type of the model.
        """
        features = self.preprocessor(images) if self.with_preprocessor else images
        features = features.to(self.dtype, memory_format=torch.channels_last)
        if self.with_backbone:
            features = self.backbone(features)
        return self.encoder(features, data_samples) if self.with_encoder else features

    def _read(
        self, images: torch.Tensor, data_samples: list[TextRecogDataSample] | None = None
    ) -> torch.Tensor:
        return self.decoder.last_logits(self.features(images, data_samples))

    def predict(
        self, inputs: torch.Tensor, data_samples: Sequence[TextRecogDataSample], **kwargs
    ) -> Sequence[TextRecogDataSample]:
        """Predict the texts of a batch; see :meth:`LPV.predict`."""
        read = self.decoder.postprocessor(self.probabilities(inputs, data_samples), data_samples)
        return self.empty_bad_samples(read)

    def loss(self, *args, **kwargs) -> dict[str, torch.Tensor]:
        """Raise an error, because what training needs has been removed.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("a deployed LPV only reads; train the model that it was made from")

    def _forward(
        self,
        inputs: torch.Tensor,
        data_samples: Sequence[TextRecogDataSample] | None = None,
        **kwargs,
    ) -> torch.Tensor:
        return self.probabilities(inputs, data_samples)


def to_deploy(
    model: LPV,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    compile_mode: str | None = None,
    packed: bool = True,
) -> DeployedLPV:
    """Return a faster copy of a model for inference.

    Batch norms are folded into convolutions, classifiers of the earlier stages dropped, the first
    queries computed once, weights converted to ``dtype`` and, on a CPU, packed for oneDNN. A
    rectifier of the images (MMOCR's ``STN``) stays in float32.

    Args:
        model: Trained model; not modified. It may have any encoder, but its decoder must be a
            ``CPADecoder``.
        dtype: float32, bfloat16 or float16. The attention maps that decide the mask stay float32.
            float16 is for GPUs; on CPUs it takes several times as long as float32, as does bfloat16
            on those without AVX-512 (with a warning unless ``packed`` is False).
        device: Device to run on; the model's device by default.
        compile_mode: Mode of ``torch.compile`` (``"default"``, ``"reduce-overhead"``,
            ``"max-autotune"``), with which the first batch of each size takes seconds to minutes;
            None for no compilation.
        packed: Whether weights may be packed; not done with a ``compile_mode``. If False, all
            linear layers and convolutions are PyTorch's own, slower but exportable.

    Returns:
        The deployed model, in evaluation mode. MMOCR's interfaces accept it instead of the
        original.

    Raises:
        ValueError: If the model is not exactly an ``LPV`` or its decoder not exactly a
            ``CPADecoder``, since a derived class may compute something else; if ``dtype`` is none
            of the three; or if the model is already deployed.
    """
    if isinstance(model, DeployedLPV):
        raise ValueError("this model is deployed already; give the model that it was made from")
    if dtype not in DTYPES.values():
        raise ValueError(f"dtype must be torch.float32, bfloat16 or float16, got {dtype}")
    if type(model) is not LPV or type(model.decoder) is not CPADecoder:
        decoder = type(getattr(model, "decoder", None)).__name__
        raise ValueError(
            "only an LPV with a CPADecoder can be deployed, no class derived from either and no "
            f"model for test-time augmentation, got {type(model).__name__} with {decoder}"
        )
    device = torch.device(device or next(model.parameters()).device)
    if packed and device.type == "cpu":
        _warn_if_slow(dtype)
    deployed: DeployedLPV = deepcopy(model).eval()
    deployed.__class__ = DeployedLPV
    with torch.no_grad():
        fold_batch_norm(deployed)
        replace_layers(deployed)
        deployed = deployed.requires_grad_(False).to(device)
        for name, part in deployed.named_children():
            if name not in ("data_preprocessor", "preprocessor"):  # these stay in float32
                part.to(dtype, memory_format=torch.channels_last)
        if not packed:
            standard_layers(deployed)
        elif device.type == "cpu" and compile_mode is None and can_pack(dtype):
            pack(deployed.decoder)
            if isinstance(getattr(deployed, "encoder", None), LPVSVTREncoder):
                pack(deployed.encoder)
    deployed.dtype = dtype
    if compile_mode is not None:
        deployed._read = torch.compile(deployed._read, mode=compile_mode)
    return deployed


def _warn_if_slow(dtype: torch.dtype) -> None:
    """Warn of a float type that is slower than float32 on this CPU, on behalf of the caller."""
    if dtype is torch.float32:
        return
    emulated = cpu_emulates_bfloat16()
    if dtype is torch.float16:
        better = "float32" if emulated else "bfloat16"
        slow = f"float16 is several times slower than float32 on a CPU; use {better} there"
    elif emulated:
        slow = (
            "this processor only emulates bfloat16, which is several times slower here than "
            "float32; use float32"
        )
    else:
        return
    warnings.warn(slow, stacklevel=3)
