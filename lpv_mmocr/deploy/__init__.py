"""Models prepared for inference: folded, packed, in a narrower float type, or compiled."""

from .convert import DTYPES, DeployedLPV, to_deploy
from .deploy_hook import DeployHook

__all__ = ["DTYPES", "DeployHook", "DeployedLPV", "to_deploy"]
