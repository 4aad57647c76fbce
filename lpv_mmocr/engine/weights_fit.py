"""Comparison of checkpoints with models: names and shapes of weights, and the GLRMs' mask."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import nn

from .config_text import ConfigTextError, parse_config
from .distributed import inner_model

ADVICE = "Use the config that it was trained with"
"""What to do if a checkpoint does not fit."""

_STATES = {True: "on", False: "off"}


class InitialWeightsError(ValueError):
    """A run lacks its initial weights, or has those of another model."""


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


def weights_inside(checkpoint: dict) -> dict[str, torch.Tensor]:
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
    wanted, problems = compare_weights(model, checkpoint)
    if problems:
        raise InitialWeightsError(f"{describe_misfit(wanted, problems)}. {ADVICE}")


def mask_of(model: nn.Module) -> bool | None:
    """Return whether the GLRMs' mask of a model is on; None if it has none.

    Args:
        model: Model, or its wrapper for distributed training or test-time augmentation.
    """
    return getattr(getattr(inner_model(model), "decoder", None), "with_mask", None)


def warn_of_other_mask(model: nn.Module, checkpoint: dict) -> None:
    """Warn if the GLRMs' mask is not as in the config inside a checkpoint.

    Args:
        model: Model; one that is not an LPV has no mask.
        checkpoint: Checkpoint, with or without a config.
    """
    if problem := other_mask(model, checkpoint):
        warnings.warn(problem, stacklevel=2)


def other_mask(model: nn.Module, checkpoint: dict) -> str | None:
    """Compare the GLRMs' mask of a model with that of the config inside a checkpoint.

    Args:
        model: Model; one that is not an LPV has no mask.
        checkpoint: Checkpoint, with or without a config.

    Returns:
        A description of the difference; None if there is none, or one of them is unknown.
    """
    here, inside = mask_of(model), _mask_inside(checkpoint)
    if here is None or inside is None or here == inside:
        return None
    return (
        f"The mask of the GLRMs is {_STATES[here]}, and {_STATES[inside]} in the config inside the "
        f"checkpoint. To match it, set model.decoder.with_mask={inside} (with --cfg-options or in "
        "the config)"
    )


def compare_weights(
    model: nn.Module, checkpoint: dict, *, left_over: bool = True
) -> tuple[Mapping[str, torch.Tensor], list[str]]:
    """Compare the weights of a checkpoint with those of a model.

    Args:
        model: Model, or its wrapper for distributed training or test-time augmentation.
        checkpoint: State dict, or a dict that has one as ``state_dict``.
        left_over: Whether an LPV model must have all weights of the checkpoint.

    Returns:
        The model's weights, and one description for each weight that does not fit. Counts of
        batches, which batch normalisation does not use, may be missing, as in MMEngine.
    """
    given = weights_inside(checkpoint)
    wanted = {
        name: value
        for name, value in inner_model(model).state_dict().items()
        if name in given or not name.endswith("num_batches_tracked")
    }
    # Checkpoints of MMOCR's model zoo may have weights that their models no longer have.
    find = differences if left_over and mask_of(model) is not None else mismatches
    return wanted, find(wanted, given)


def describe_misfit(wanted: Mapping[str, torch.Tensor], problems: list[str]) -> str:
    """Return the message for a checkpoint that does not fit.

    Args:
        wanted: Weights of the model.
        problems: Descriptions of those that do not fit, at least one.
    """
    return (
        f"The checkpoint is not of this model: {len(problems)} of {len(wanted)} weights do not "
        f"fit, among them {'; '.join(problems[:3])}"
    )


def _mask_inside(checkpoint: dict) -> bool | None:
    """Return whether the mask is on in the config inside a checkpoint; None if unspecified."""
    text = str((checkpoint.get("meta") or {}).get("cfg") or "")
    try:  # The text is a program, which is not executed for this.
        value = parse_config(text)["model"]["decoder"]["with_mask"]
    except (ConfigTextError, LookupError, TypeError):
        return None
    return value if isinstance(value, bool) else None
