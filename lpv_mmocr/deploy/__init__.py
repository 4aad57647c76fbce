"""Models made ready for inference: folded, packed, in a narrower float type, or compiled."""

from .convert import DeployedLPV, to_deploy

__all__ = ["DeployedLPV", "to_deploy"]
