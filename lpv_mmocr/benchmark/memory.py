"""Peak memory of the tensors of a call."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile


def peak_of_call(run: Callable[[], object], device: torch.device) -> int:
    """Return the maximum growth of the tensors during a call, in bytes.

    On a GPU, PyTorch's allocator reports it. On a CPU, it is computed from the profiler's record
    of allocations, so that other memory of the process, and what the C library keeps, do not
    count.

    Args:
        run: Function to call.
        device: Device that it computes on.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text())["traceEvents"]
    allocations = [event for event in events if event.get("name") == "[memory]"]
    allocations.sort(key=lambda event: event["ts"])
    return max(itertools.accumulate((e["args"]["Bytes"] for e in allocations), initial=0))


def bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    """Return the size of tensors in bytes, each counted once.

    Args:
        tensors: The tensors.
    """
    # Not nbytes: packed weights have no strides to compute it from.
    return sum({id(t): t.numel() * t.element_size() for t in tensors}.values())
