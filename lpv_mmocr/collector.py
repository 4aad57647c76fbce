"""Settings of Python's garbage collector that reduce the run time of commands.

PyTorch and MMOCR create hundreds of thousands of objects that live as long as the process. The
collector traverses all of them repeatedly during and after the import, and several times more at
exit (docs/performance.md has the timings).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Pause garbage collection within the context; afterwards it resumes if it was enabled.

    Objects created within it then count as old: they are traversed by full collections only.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # There is no other way to tell the collector; it would undo what somebody else has frozen.
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()


@functools.cache
def set_up_for_command() -> None:
    """Exclude imported objects from collection, now and at exit; idempotent.

    Objects that exist now count as permanently alive and are not traversed again: a command
    creates a few tens of thousands itself, the imports half a million. The process ends without a
    collection.

    This is for commands, which close their files themselves, not for libraries: existing garbage
    in reference cycles is kept, and objects in cycles, such as a file that its owner has not
    closed, are not finalised at exit.
    """
    gc.freeze()
    atexit.register(gc.freeze)
