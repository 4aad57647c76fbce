"""Hooks that check the initial weights of a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmocr.registry import HOOKS
from torch import nn

from .config_text import ConfigTextError, parse_config

_STATES = {True: "on", False: "off"}
_ADVICE = "Use the config that it was trained with"


class InitialWeightsError(ValueError):
    """A run lacks its initial weights, or has those of another model."""


@HOOKS.register_module()
class InitialWeightsHook(Hook):
    """Hook that stops a training run without initial weights, or with those of another model.

    For configs such as LPV's second stage, which has no meaning without the first: MMEngine would
    silently train from scratch, and only logs weights that do not fit.

    Args:
        source: Path or description of what to give as ``load_from``, for the error message.

    Raises:
        InitialWeightsError: When training is about to start.
    """

    priority = "VERY_HIGH"

    def __init__(self, *, source: str) -> None:
        self.source = source
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that the weights fit this model, in names and shapes."""
        self._loaded = True
        wanted, problems = _compare(runner.model, checkpoint)
        if problems:
            raise InitialWeightsError(f"{_complaint(wanted, problems)}. {self._advice()}")

    def before_train(self, runner: Runner) -> None:
        """Refuse to start without weights."""
        if not self._loaded:
            raise InitialWeightsError(
                f"This config continues from trained weights, but none are given. {self._advice()}"
            )

    def _advice(self) -> str:
        return f"Give them with: --cfg-options load_from={self.source}"


def mismatches(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> list[str]:
    """Find weights of a model that a state dict does not provide.

    Args:
        wanted: State dict of the model.
        given: State dict to load into it.

    Returns:
        One description for each weight that is missing or of another shape.
    """
    problems = []
    for name, value in wanted.items():
        if name not in given:
            problems.append(f"{name} is missing")
        elif given[name].shape != value.shape:
            shapes = f"{tuple(given[name].shape)} instead of {tuple(value.shape)}"
            problems.append(f"{name} has the shape {shapes}")
    return problems


def differences(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> list[str]:
    """Find the :func:`mismatches` and also the weights that the model does not have.

    Args:
        wanted: State dict of the model.
        given: State dict to load into it.

    Returns:
        One description for each weight that is missing, of another shape or left over.
    """
    left_over = (name for name in given if name not in wanted)
    return mismatches(wanted, given) + [f"{name} is left over" for name in left_over]


def unwrapped(checkpoint: dict) -> dict[str, torch.Tensor]:
    """Return a checkpoint's weights, without the name prefix of distributed training.

    Args:
        checkpoint: State dict, or a dict that has one as ``state_dict``.
    """
    given = checkpoint.get("state_dict", checkpoint)
    return {name.removeprefix("module."): value for name, value in given.items()}


def require_fit(model: nn.Module, checkpoint: dict) -> None:
    """Check that a checkpoint has all weights of a model, in the model's shapes.

    For an LPV model it must have no other weights: it could be that of a deeper model.

    Args:
        model: Model, which is not changed.
        checkpoint: State dict, or a dict that has one as ``state_dict``.

    Raises:
        InitialWeightsError: If the weights do not fit.
    """
    wanted, problems = _compare(model, checkpoint)
    if problems:
        raise InitialWeightsError(f"{_complaint(wanted, problems)}. {_ADVICE}")


@HOOKS.register_module()
class FittingWeightsHook(Hook):
    """Hook that stops a run whose checkpoint is of another model; MMEngine loads what fits.

    A warning is also logged if the GLRMs' mask is off but on in the config inside the checkpoint,
    or, with ``strict``, the other way round: the weights do not reveal this, and the model reads
    differently.

    Args:
        strict: Whether every weight must fit and, for an LPV model, none be left over, as for a
            test or a resumed run. Otherwise at least one has to fit, and the log names those that
            do not, which keep their initialisation.

    Raises:
        InitialWeightsError: When the checkpoint is loaded.
    """

    priority = "VERY_HIGH"

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the weights with the model's."""
        wanted, problems = _compare(runner.model, checkpoint, left_over=self.strict)
        if problems:
            complaint = _complaint(wanted, problems)
            if self.strict or len(problems) == len(wanted):
                raise InitialWeightsError(f"{complaint}. {_ADVICE}")
            runner.logger.warning(f"{complaint}. They keep their initialisation.")
        # Training that turns the mask on is LPV's second stage.
        if (problem := _other_mask(runner.model, checkpoint)) and (
            self.strict or not mask_of(runner.model)
        ):
            runner.logger.warning(problem)


def mask_of(model: nn.Module) -> bool | None:
    """Return whether the GLRMs' mask of a model is on; None if it has none.

    Args:
        model: Model, or its wrapper for distributed training or test-time augmentation.
    """
    return getattr(getattr(_inner(model), "decoder", None), "with_mask", None)


def warn_of_other_mask(model: nn.Module, checkpoint: dict) -> None:
    """Warn if the GLRMs' mask is not as in the config inside a checkpoint.

    Args:
        model: Model; one that is not an LPV has no mask.
        checkpoint: Checkpoint, with or without a config.
    """
    if problem := _other_mask(model, checkpoint):
        warnings.warn(problem, stacklevel=2)


def _other_mask(model: nn.Module, checkpoint: dict) -> str | None:
    here, inside = mask_of(model), _mask_inside(checkpoint)
    if here is None or inside is None or here == inside:
        return None
    return (
        f"The mask of the GLRMs is {_STATES[here]}, and {_STATES[inside]} in the config inside the "
        f"checkpoint. To match it, set model.decoder.with_mask={inside} (with --cfg-options or in "
        "the config)"
    )


def _mask_inside(checkpoint: dict) -> bool | None:
    """Return whether the mask is on in the config inside a checkpoint; None if unspecified."""
    text = str((checkpoint.get("meta") or {}).get("cfg") or "")
    try:  # The text is a program, which is not executed for this.
        value = parse_config(text)["model"]["decoder"]["with_mask"]
    except (ConfigTextError, LookupError, TypeError):
        return None
    return value if isinstance(value, bool) else None


def _inner(model: nn.Module) -> nn.Module:
    # In distributed runs, the test-time augmentation model is wrapped as well.
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _compare(
    model: nn.Module, checkpoint: dict, *, left_over: bool = True
) -> tuple[Mapping[str, torch.Tensor], list[str]]:
    """Return the model's weights, and what is wrong with those of a checkpoint."""
    wanted = _inner(model).state_dict()
    # Checkpoints of MMOCR's model zoo may have weights that their models no longer have.
    compare = differences if left_over and mask_of(model) is not None else mismatches
    return wanted, compare(wanted, unwrapped(checkpoint))


def _complaint(wanted: Mapping[str, torch.Tensor], problems: list[str]) -> str:
    return (
        f"The checkpoint is not of this model: {len(problems)} of {len(wanted)} weights do not "
        f"fit, among them {'; '.join(problems[:3])}"
    )
