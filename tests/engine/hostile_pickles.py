"""Values whose pickles run code or access objects that no checkpoint needs."""

from __future__ import annotations

import io
import os
from pathlib import Path

import torch
from mmengine.logging import HistoryBuffer


class RunsCommand:
    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Evaluates:
    def __init__(self, marker: Path):
        self.code = f"__import__('pathlib').Path({str(marker)!r}).touch()"

    def __reduce__(self):
        return eval, (self.code,)


class FetchesMethod:
    """Reaches the globals of an allowed class's module through ``getattr``."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__")


class LoadsFromBytes:
    """``torch.storage._load_from_bytes`` unpickles its argument without any restriction."""

    def __init__(self, marker: Path):
        buffer = io.BytesIO()
        torch.save(Evaluates(marker), buffer)
        self.content = buffer.getvalue()

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.content,)


class OtherBuffer(HistoryBuffer):
    """Subclass of an allowed class, which is not itself allowed."""
