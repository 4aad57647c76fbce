"""Standard streams that are closed, or fail, and the exit statuses of commands."""

from __future__ import annotations

import os
import sys

EXIT_BAD_INPUT = 2
"""Exit status for invalid options, configs, checkpoints or data."""

EXIT_INTERRUPTED = 130
"""Exit status that shells report for programs ended by SIGINT."""

EXIT_BROKEN_PIPE = 141
"""Exit status that shells report for programs ended by SIGPIPE."""


def open_closed_streams() -> None:
    """Open the null device for each standard stream that was closed when the process started.

    Python sets such a stream to None, on which libraries fail, and its number may go to the next
    file that is opened.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # gets the stream's own number
            stream = os.fdopen(null, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)


def discard_output() -> None:
    """Redirect standard output, which failed, to the null device.

    Python flushes it again at exit, and reports it if that fails, too.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
