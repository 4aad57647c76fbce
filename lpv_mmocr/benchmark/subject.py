"""Base class of the models that are measured, with the calls that can be timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from . import samples
from .precision import autocast, training_wrapper
from .specification import Specification
from .work import count_macs

Call = Callable[[], object]


class Subject(ABC):
    """A model that is ready to be measured.

    Args:
        spec: Specification of the model.
        model: The model.
        shape: Channels, height and width of its images.
        device: Device to run on.

    Attributes:
        macs: Multiply-accumulates per image, or None if they cannot be counted.
        parameters: Number of trainable parameters.
    """

    memory_counts = True
    """Whether its memory consists of PyTorch tensors, which can be counted."""

    def __init__(
        self,
        spec: Specification,
        model: nn.Module,
        shape: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        self.spec = spec
        self.shape = shape
        self.device = device
        self.parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.macs = self._count(model)
        self.model = model.to(device)
        if spec.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.wrapper: OptimWrapper | None = None
        self._is_compiled = False

    @property
    def precision(self) -> str:
        """Precision for inference; that of training is determined by the optimiser's config."""
        return self.spec.precision or "fp32"

    def _compile(self) -> None:
        """Compile the forward pass once, as MMEngine's runner does."""
        if self.spec.compile and not self._is_compiled:
            # Each batch size gets its own code, as if it were the only one.
            self.model.forward = torch.compile(self.model.forward, dynamic=False)
            self._is_compiled = True

    def _count(self, model: nn.Module) -> int | None:
        try:
            return count_macs(model, self.shape[1:], channels=self.shape[0], forward=self._forward)
        except Exception:  # third-party models may fail in any way on the meta device
            return None

    @abstractmethod
    def _forward(self, model: nn.Module, images: torch.Tensor) -> object:
        """Run a model of this kind on normalised images (N, C, H, W)."""

    @property
    def persistent_tensors(self) -> list[torch.Tensor]:
        """Tensors that stay in memory between calls: the model, and the state of its optimiser."""
        # Parameters and buffers are in dictionaries of their modules; packed weights of a deployed
        # model are plain attributes or in dictionaries by size.
        modules = [vars(module) for module in self.model.modules()]
        inner = [item for attributes in modules for item in attributes.values()]
        states = list(self.wrapper.optimizer.state.values()) if self.wrapper else []
        places = [*modules, *(item for item in inner if isinstance(item, dict)), *states]
        values = (value for place in places for value in place.values())
        return [value for value in values if isinstance(value, torch.Tensor)]

    def images(self, number: int) -> torch.Tensor:
        """Return random images of shape (N, C, H, W) in 0..1 on the device."""
        images = samples.random_images(number, self.shape).to(self.device) / 255
        if self.spec.channels_last:
            images = images.to(memory_format=torch.channels_last)
        return images

    def forward_call(self, number: int) -> Call:
        """Prepare the forward pass of a batch, from normalised images to character scores.

        Args:
            number: Number of images.
        """
        images, model, run = self.images(number), self.model.eval(), self._forward
        self._compile()

        @torch.inference_mode()
        def call() -> object:
            with autocast(self.spec, self.device):
                return run(model, images)

        return call

    def inference_call(self, number: int) -> Call:
        """Prepare inference on a batch, from encoded images to their texts.

        Args:
            number: Number of images in the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no pipeline")

    @abstractmethod
    def train_call(self, number: int, optim_wrapper: dict[str, Any]) -> Call:
        """Prepare a training step: forward, backward, clipping and the optimiser's step.

        Args:
            number: Number of images.
            optim_wrapper: Config of the optimiser for subjects that have none.

        Raises:
            InputError: If the subject cannot be trained.
        """

    def _optimiser(self, config: dict[str, Any]) -> OptimWrapper:
        self._compile()
        if self.wrapper is None:
            config = training_wrapper(config, self.spec, self.device)
            with DefaultScope.overwrite_default_scope("mmocr"):
                self.wrapper = build_optim_wrapper(self.model, config)
        return self.wrapper
