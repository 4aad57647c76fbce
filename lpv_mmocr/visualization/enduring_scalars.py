"""Curves that do not end a training when they cannot be written."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mmengine.dist import master_only
from mmengine.logging import print_log
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend


class EnduringScalars(Visualizer):
    """MMEngine's ``Visualizer``, which survives a full disk.

    A checkpoint is worth stopping for, a point of a curve is not. A backend that cannot write one
    is named in the log, once until it can write again, and the other backends get theirs.
    TensorBoard's writer does not recover: its curves end there, until the run is resumed.

    Args:
        name: Name of the instance.
        **kwargs: Other arguments of ``mmengine.visualization.Visualizer``.
    """

    def __init__(self, name: str = "visualizer", **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self._failing: set[str] = set()

    @classmethod
    def get_instance(cls, name: str = "visualizer", **kwargs) -> EnduringScalars:
        """What building from a config calls: the visualizer of that name, made if there is none.

        MMEngine asks for a name. A config that gives none leaves it to the runner, whose name is
        that of the run; this default is for tools that build the visualizer themselves.

        Args:
            name: Name of the instance.
            **kwargs: Arguments of one that is made.

        Returns:
            The instance.
        """
        return super().get_instance(name, **kwargs)

    @master_only
    def add_scalar(self, name: str, value: float, step: int = 0, **kwargs) -> None:
        """Hand a value to all backends.

        Args:
            name: What it is a value of.
            value: The value; tensors and arrays of one element too.
            step: Step that backends note down.
            **kwargs: For the backends.
        """
        self._write(lambda backend: backend.add_scalar(name, value, step, **kwargs))

    @master_only
    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs
    ) -> None:
        """Hand several values to all backends.

        Args:
            scalar_dict: Values by name.
            step: Step that backends note down.
            file_path: File that ``LocalVisBackend`` writes them to as well.
            **kwargs: For the backends.
        """
        self._write(lambda backend: backend.add_scalars(scalar_dict, step, file_path, **kwargs))

    def close(self) -> None:
        """Let all backends write what they still hold."""
        self._write(lambda backend: backend.close(), closing=True)

    def _write(self, write: Callable[[BaseVisBackend], None], closing: bool = False) -> None:
        for name, backend in self._vis_backends.items():
            try:
                write(backend)
            except OSError as error:
                if name not in self._failing:
                    self._failing.add(name)
                    print_log(
                        f"{name} cannot write scalars ({error}); training goes on without them.",
                        logger="current",
                        level=logging.ERROR,
                    )
                continue
            # Closing may write nothing, so that it shows nothing.
            if name in self._failing and not closing:
                self._failing.remove(name)
                print_log(f"{name} writes scalars again.", logger="current")
