"""Hooks that check the initial weights of a run."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from .weights_fit import (
    ADVICE,
    InitialWeightsError,
    compare_weights,
    describe_misfit,
    mask_of,
    other_mask,
)


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
        wanted, problems = compare_weights(runner.model, checkpoint)
        if problems:
            raise InitialWeightsError(
                f"{describe_misfit(wanted, problems)}. {self._advice()}. To take over only the "
                "weights that fit, such as for another dictionary, remove InitialWeightsHook from "
                "custom_hooks"
            )

    def before_train(self, runner: Runner) -> None:
        """Refuse to start without weights."""
        if not self._loaded:
            raise InitialWeightsError(
                f"This config continues from trained weights, but none are given. {self._advice()}"
            )

    def _advice(self) -> str:
        return f"Give them with: --cfg-options load_from={self.source}"


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
        wanted, problems = compare_weights(runner.model, checkpoint, left_over=self.strict)
        if problems:
            misfit = describe_misfit(wanted, problems)
            if self.strict or len(problems) == len(wanted):
                raise InitialWeightsError(f"{misfit}. {ADVICE}")
            runner.logger.warning(
                f"{len(wanted) - len(problems)} of {len(wanted)} weights are taken over from the "
                f"checkpoint. The others keep their initialisation: {'; '.join(problems[:3])}"
                f"{' ...' * (len(problems) > 3)}"
            )
        # Training that turns the mask on is LPV's second stage.
        if (problem := other_mask(runner.model, checkpoint)) and (
            self.strict or not mask_of(runner.model)
        ):
            runner.logger.warning(problem)
