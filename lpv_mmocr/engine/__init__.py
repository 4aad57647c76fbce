"""Training engine: runs that are safe to interrupt and checkpoints that are safe to load."""

from . import checkpoint_io, checkpoint_loaders, checkpoint_search, config_format
from .amp import AutocastOptimWrapper
from .atomic_file_backend import AtomicLocalBackend
from .checkpoint_hook import AtomicCheckpointHook
from .checkpoint_io import CheckpointError, UnsafeCheckpointError, load_checkpoint, save_checkpoint
from .checkpoint_search import find_last_complete_checkpoint
from .deferred_scalars import DeferredOptimWrapper, DeferredRuntimeInfoHook
from .loops import ResumableIterBasedTrainLoop
from .non_finite_guard import NonFiniteGuardHook, NonFiniteLossError
from .time_budget import TimeBudgetHook
from .training_hooks import StopOnSignalHook, ThroughputTimerHook
from .weights_fit import InitialWeightsError
from .weights_hooks import FittingWeightsHook, InitialWeightsHook

checkpoint_loaders.install()
checkpoint_search.install()
config_format.install()

__all__ = [
    "AtomicCheckpointHook",
    "AtomicLocalBackend",
    "AutocastOptimWrapper",
    "CheckpointError",
    "DeferredOptimWrapper",
    "DeferredRuntimeInfoHook",
    "FittingWeightsHook",
    "InitialWeightsError",
    "InitialWeightsHook",
    "NonFiniteGuardHook",
    "NonFiniteLossError",
    "ResumableIterBasedTrainLoop",
    "StopOnSignalHook",
    "ThroughputTimerHook",
    "TimeBudgetHook",
    "UnsafeCheckpointError",
    "checkpoint_io",
    "find_last_complete_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
]
