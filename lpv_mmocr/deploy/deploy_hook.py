"""Hook that tests a deployed copy instead of the trained model."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from ..engine.distributed import inner_model, without_wrapper
from .convert import DTYPES, DeployedLPV, to_deploy


@HOOKS.register_module()
class DeployHook(Hook):
    """Hook that replaces the model with a deployed copy before testing.

    Of a model for test-time augmentation, it replaces the recogniser inside.

    Args:
        dtype: ``fp32``, ``bf16`` or ``fp16``; see :func:`lpv_mmocr.deploy.to_deploy`.

    Raises:
        ValueError: If ``dtype`` is none of these; when testing, if the model cannot be deployed.
    """

    def __init__(self, *, dtype: str = "fp32") -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        self.dtype = DTYPES[dtype]

    def before_test(self, runner: Runner) -> None:
        """Deploy the model."""
        model, recogniser = without_wrapper(runner.model), inner_model(runner.model)
        if isinstance(recogniser, DeployedLPV):  # an earlier test has deployed it
            return
        deployed = to_deploy(recogniser, dtype=self.dtype)
        if recogniser is model:
            runner.model = deployed
        else:
            model.module = deployed
