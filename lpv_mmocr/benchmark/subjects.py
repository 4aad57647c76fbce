"""Kinds of models that can be measured: from a config, from an adapter, and ONNX files."""

from __future__ import annotations

from copy import deepcopy
from itertools import cycle
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmocr.apis import TextRecInferencer
from mmocr.registry import MODELS
from torch import nn

from .. import cli
from ..cli import InputError
from ..datasets.transforms.loading import decode_image
from ..deploy import DTYPES
from ..drawn_words import random_words
from . import samples
from .adapter import load_adapter
from .onnx_subject import OnnxSubject
from .precision import autocast
from .specification import Specification
from .subject import Call, Subject

_BATCHES_OF_WORDS = 16


class ConfigSubject(Subject):
    """The recogniser of an MMOCR config, with random weights.

    Args:
        spec: Specification that names a config.
        device: Device to run on.

    Raises:
        InputError: If the config cannot be read, or a switch does not apply to the model.
    """

    def __init__(self, spec: Specification, device: torch.device) -> None:
        self.cfg = load(spec)
        with DefaultScope.overwrite_default_scope(self.cfg.get("default_scope", "mmocr")):
            model = MODELS.build(self.cfg.model)
            self.sample = samples.packed_sample(self.cfg)
        self._kept_samples: list = []
        super().__init__(spec, model, tuple(self.sample["inputs"].shape), device)
        if spec.deploy:
            self.model = self._deploy()

    def _deploy(self) -> nn.Module:
        if not hasattr(self.model, "to_deploy"):
            raise InputError(
                f"{self.spec.label}: {type(self.model).__name__} has no to_deploy(); omit the "
                "switch deploy"
            )
        compile_mode = "default" if self.spec.compile else None
        self._is_compiled = self.spec.compile
        dtype = DTYPES[self.spec.precision or "fp32"]
        return self.model.eval().to_deploy(dtype=dtype, compile_mode=compile_mode)

    def _samples(self, number: int) -> list:
        return [self.sample["data_samples"].clone() for _ in range(number)]

    def _forward(self, model: nn.Module, images: torch.Tensor) -> object:
        return model(images, self._cached_samples(len(images)), mode="tensor")

    def _cached_samples(self, number: int) -> list:
        if len(self._kept_samples) != number:
            self._kept_samples = self._samples(number)
        return self._kept_samples

    def inference_call(self, number: int) -> Call:
        """See :meth:`Subject.inference_call`; this uses MMOCR's inferencer."""
        self._compile()
        cfg = deepcopy(self.cfg)
        cfg.pop("visualizer", None)
        reader = TextRecInferencer(cfg, device=str(self.device))
        reader.model = self.model.eval()
        encoded = samples.encoded_images(number)

        def call() -> object:
            with autocast(self.spec, self.device):
                images = [decode_image(content) for content in encoded]
                return reader(images, batch_size=number, progress_bar=False)["predictions"]

        return call

    def train_call(self, number: int, optim_wrapper: dict[str, Any]) -> Call:
        """See :meth:`Subject.train_call`; this runs the model's ``train_step`` and optimiser."""
        cli.require(self.cfg, "optim_wrapper")
        wrapper = self._optimiser(self.cfg.optim_wrapper)
        model = self.model.train()
        # Words differ between steps, as in training; this must not trigger recompilation.
        words = cycle([random_words(number, seed) for seed in range(_BATCHES_OF_WORDS)])
        data_samples = self._samples(number)
        images = list(samples.random_images(number, self.shape))

        def call() -> object:
            for sample in samples.labelled(data_samples, next(words)):
                sample.set_metainfo({"have_target": False})
            batch = {"inputs": images, "data_samples": data_samples}
            return model.train_step(batch, wrapper)

        return call


class AdapterSubject(Subject):
    """A module that an adapter returned.

    Args:
        spec: Specification that names an adapter.
        device: Device to run on.

    Raises:
        InputError: If the adapter is invalid.
    """

    def __init__(self, spec: Specification, device: torch.device) -> None:
        module, size = load_adapter(*spec.adapter)
        super().__init__(spec, module, (3, *size), device)

    def _forward(self, model: nn.Module, images: torch.Tensor) -> object:
        return model(images)

    def train_call(self, number: int, optim_wrapper: dict[str, Any]) -> Call:
        """See :meth:`Subject.train_call`; this uses the optimiser of the first config."""
        if not hasattr(self.model, "loss"):
            raise InputError(
                f"{self.spec.label}: the training step needs a method loss(images, texts) on the "
                f"adapter's {type(self.model).__name__}"
            )
        wrapper = self._optimiser(optim_wrapper)
        model = self.model.train()
        batch = samples.random_images(number, self.shape)
        words = random_words(number)

        def call() -> object:
            images = batch.to(self.device, non_blocking=True) / 255
            with wrapper.optim_context(model):
                loss = model.loss(images, words)
            wrapper.update_params(loss)
            return loss

        return call


def load(spec: Specification) -> Config:
    """Read a model's config.

    Args:
        spec: Specification that names a config.

    Raises:
        InputError: If the config cannot be read or has no model.
    """
    cfg = cli.load_config(spec.config, spec.options)
    cli.require(cfg, "model")
    return cfg


def build_subject(spec: Specification, device: torch.device) -> Subject:
    """Build the model of a specification.

    Args:
        spec: The model and how to run it.
        device: Device to run on.
    """
    torch.manual_seed(0)
    if spec.onnx:
        return OnnxSubject(spec, device)
    return (AdapterSubject if spec.adapter else ConfigSubject)(spec, device)
