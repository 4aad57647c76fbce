"""Hooks that look at the weights a run begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmocr.registry import HOOKS
from torch import nn

_STATES = {True: "on", False: "off"}
_ADVICE = "Use the config that it was trained with"


class InitialWeightsError(ValueError):
    """A run lacks the weights that it is to begin with, or has those of another model."""


@HOOKS.register_module()
class InitialWeightsHook(Hook):
    """Stops a training that begins without given weights, or with weights of another model.

    For configs such as LPV's second stage, which has no meaning without the first: MMEngine would
    train from scratch without a word, and it only logs what does not fit.

    Args:
        source: What to give as ``load_from``, for the error; a path or a description.

    Raises:
        InitialWeightsError: When the training is about to begin.
    """

    priority = "VERY_HIGH"

    def __init__(self, *, source: str) -> None:
        self.source = source
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that the weights are those of this model, all of them."""
        self._loaded = True
        wanted, problems = _compare(runner.model, checkpoint)
        if problems:
            raise InitialWeightsError(f"{_complaint(wanted, problems)}. {self._advice()}")

    def before_train(self, runner: Runner) -> None:
        """Refuse to begin without weights."""
        if not self._loaded:
            raise InitialWeightsError(
                f"This config continues from trained weights, and none are given. {self._advice()}"
            )

    def _advice(self) -> str:
        return f"Give them with: --cfg-options load_from={self.source}"


def misfits(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> list[str]:
    """Find the weights that a model misses.

    Args:
        wanted: State dict of the model.
        given: State dict to fill it with.

    Returns:
        For each weight that is missing or of another shape, what is wrong.
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
    """Like :func:`misfits`, and also what the model has no place for.

    Args:
        wanted: State dict of the model.
        given: State dict to fill it with.

    Returns:
        For each weight that is missing, of another shape or left over, what is wrong.
    """
    left_over = (name for name in given if name not in wanted)
    return misfits(wanted, given) + [f"{name} is left over" for name in left_over]


def unwrapped(checkpoint: dict) -> dict[str, torch.Tensor]:
    """Weights of a checkpoint, by the names that they have without several processes.

    Args:
        checkpoint: What its file holds: a state dict, or a dict with one as ``state_dict``.
    """
    given = checkpoint.get("state_dict", checkpoint)
    return {name.removeprefix("module."): value for name, value in given.items()}


def require_fit(model: nn.Module, checkpoint: dict) -> None:
    """Check that a checkpoint holds all weights of a model, in its shapes.

    One of an LPV must hold no others: it could be a deeper one's.

    Args:
        model: The model, which stays as it is.
        checkpoint: What its file holds: a state dict, or a dict with one as ``state_dict``.

    Raises:
        InitialWeightsError: If it does not.
    """
    wanted, problems = _compare(model, checkpoint)
    if problems:
        raise InitialWeightsError(f"{_complaint(wanted, problems)}. {_ADVICE}")


@HOOKS.register_module()
class FittingWeightsHook(Hook):
    """Stops a run whose checkpoint is of another model; MMEngine fills what fits and goes on.

    Args:
        strict: Whether every weight must fit, and of an LPV's none be left over, as for a test
            or a resumed run. Otherwise one has to fit, and the log names the others, which begin as
            they are initialised.

    The log also says so where the GLRMs' mask is off and in the config inside the checkpoint it is
    on, or, where every weight must fit, the other way round: no weight tells, and the model reads
    otherwise.

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
            runner.logger.warning(f"{complaint}. They begin as they are initialised.")
        here, inside = mask_of(runner.model), _mask_inside(checkpoint)
        # That a training puts the mask on is LPV's second stage.
        if None not in (here, inside) and here != inside and (inside or self.strict):
            runner.logger.warning(
                f"The mask of the GLRMs is {_STATES[here]}, and {_STATES[inside]} in the config "
                f"inside the checkpoint; --cfg-options model.decoder.with_mask={inside} does as "
                "that one"
            )


def mask_of(model: nn.Module) -> bool | None:
    """Whether the GLRMs' mask of a model is on; None where it has none.

    Args:
        model: The model, or what wraps it for several processes or for test-time augmentation.
    """
    return getattr(getattr(_inner(model), "decoder", None), "with_mask", None)


def _mask_inside(checkpoint: dict) -> bool | None:
    """Whether the mask is on in the config inside a checkpoint; None where that does not say."""
    text = str((checkpoint.get("meta") or {}).get("cfg") or "")
    # The text is a program, which is not run for this.
    found = {*re.findall(r"with_mask=(True|False)", text)}
    return found.pop() == "True" if len(found) == 1 else None


def _inner(model: nn.Module) -> nn.Module:
    # With several processes test-time augmentation has a wrapper around it, too.
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _compare(
    model: nn.Module, checkpoint: dict, *, left_over: bool = True
) -> tuple[Mapping[str, torch.Tensor], list[str]]:
    """The model's weights, and what is wrong with those of a checkpoint."""
    wanted = _inner(model).state_dict()
    # Checkpoints of MMOCR's model zoo may hold what their models have no longer.
    compare = differences if left_over and mask_of(model) is not None else misfits
    return wanted, compare(wanted, unwrapped(checkpoint))


def _complaint(wanted: Mapping[str, torch.Tensor], problems: list[str]) -> str:
    return (
        f"The checkpoint is not of this model: {len(problems)} of {len(wanted)} weights do not "
        f"fit, among them {'; '.join(problems[:3])}"
    )
