"""Programs for tests to kill, in separate processes that need not import PyTorch again.

They are forked from a process that has only imported the package, so each behaves like a new
process, but starts seconds faster.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["lpv_mmocr", "mmengine.runner", "torch.distributed"])


class Program:
    """A function that runs in one process, or in several as ``torchrun`` would start them.

    Args:
        function: Function that each process calls, importable by its name.
        arguments: Arguments of the function.
        log: File to which the output of all processes is appended.
        processes: Number of processes; if more than one, they form a distributed group.
    """

    def __init__(
        self, function: Callable[..., None], *arguments: object, log: Path, processes: int = 1
    ) -> None:
        self._log = log
        shared = dict(OMP_NUM_THREADS="1")
        if processes > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            shared |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE=processes)
        self._processes = []
        for rank in range(processes):
            ranks = dict(RANK=rank, LOCAL_RANK=rank) if processes > 1 else {}
            variables = {name: str(value) for name, value in (shared | ranks).items()}
            process = _CONTEXT.Process(target=_run, args=(function, arguments, variables, log))
            process.start()
            self._processes.append(process)

    def running(self) -> bool:
        """Return whether any of the processes is still running."""
        return any(process.exitcode is None for process in self._processes)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes and their child processes."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(process.pid, number)

    def wait(self, timeout: float = 200) -> list[int]:
        """Wait up to ``timeout`` seconds for all processes, and return their exit codes."""
        deadline = time.monotonic() + timeout
        for process in self._processes:
            process.join(max(0, deadline - time.monotonic()))
            assert process.exitcode is not None, f"still running; {self.output()}"
        return [process.exitcode for process in self._processes]

    def finish(self) -> None:
        """Wait for all processes, and check that they succeed."""
        codes = self.wait()
        assert set(codes) == {0}, f"{codes}; {self.output()}"

    def output(self) -> str:
        """Return the output of these processes and of earlier programs with the same log."""
        return self._log.read_text(encoding="utf-8")


def run_script(script: Path, folder: Path, *arguments: object) -> None:
    """Run a script in a folder as ``python SCRIPT ARGUMENTS`` does."""
    os.chdir(folder)
    sys.argv = [str(part) for part in (script, *arguments)]
    runpy.run_path(str(script), run_name="__main__")


def _run(
    function: Callable[..., None], arguments: tuple, variables: dict[str, str], log: Path
) -> None:
    os.setsid()  # a separate process group, shared by child processes
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.update(variables)
    function(*arguments)
