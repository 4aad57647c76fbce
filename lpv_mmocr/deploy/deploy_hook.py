"""Hook that tests a deployed copy instead of the trained model."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmocr.registry import HOOKS

from ..engine.distributed import without_wrapper
from .convert import DTYPES, DeployedLPV, to_deploy


@HOOKS.register_module()
class DeployHook(Hook):
    """Hook that replaces the model with a deployed copy before testing.

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
        model = without_wrapper(runner.model)
        if not isinstance(model, DeployedLPV):  # an earlier test may have deployed it
            runner.model = to_deploy(model, dtype=self.dtype)
