"""Logging of scalars that does not stop a training run on write errors."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend


class FaultTolerantScalars(Visualizer):
    """MMEngine's ``Visualizer``, which survives a full disk.

    A missing checkpoint is worth stopping for, a missing point of a curve is not. A backend that
    cannot write a point is named in the log, once until it can write again, and the other backends
    still get theirs. TensorBoard's writer does not recover: its curves end there until the run is
    resumed.

    Args:
        name: Name of the instance.
        **kwargs: Other arguments of ``mmengine.visualization.Visualizer``.
    """

    def __init__(self, name: str = "visualizer", **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self._failing: set[str] = set()

    @classmethod
    def get_instance(cls, name: str = "visualizer", **kwargs) -> FaultTolerantScalars:
        """Return the visualizer of that name, creating it if needed; used to build from a config.

        MMEngine requires a name. If a config gives none, the runner sets it to the name of the
        run; this default is for tools that build the visualizer themselves.

        Args:
            name: Name of the instance.
            **kwargs: Arguments of a newly created instance.

        Returns:
            The instance.
        """
        return super().get_instance(name, **kwargs)

    @master_only
    def add_scalar(self, name: str, value: float, step: int = 0, **kwargs) -> None:
        """Pass a value to all backends.

        Args:
            name: Name of the scalar.
            value: The value, also as a tensor or array of one element.
            step: Step that backends record.
            **kwargs: Passed on to the backends.
        """
        self._write(lambda backend: backend.add_scalar(name, value, step, **kwargs))

    @master_only
    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs
    ) -> None:
        """Pass several values to all backends.

        Args:
            scalar_dict: Values by name.
            step: Step that backends record.
            file_path: File that ``LocalVisBackend`` writes them to as well.
            **kwargs: Passed on to the backends.
        """
        self._write(lambda backend: backend.add_scalars(scalar_dict, step, file_path, **kwargs))

    def close(self) -> None:
        """Close all backends, which write what they still hold."""
        self._write(lambda backend: backend.close(), closing=True)

    def _write(self, write: Callable[[BaseVisBackend], None], closing: bool = False) -> None:
        for name, backend in self._vis_backends.items():
            try:
                write(backend)
            except OSError as error:
                if name not in self._failing:
                    self._failing.add(name)
                    print_log(
                        f"{name} cannot write scalars ({error}); training continues without them.",
                        logger="current",
                        level=logging.ERROR,
                    )
                continue
            # Closing may write nothing, so its success proves nothing.
            if name in self._failing and not closing:
                self._failing.remove(name)
                print_log(f"{name} writes scalars again.", logger="current")
