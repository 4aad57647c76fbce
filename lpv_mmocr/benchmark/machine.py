"""Description of the machine, and its peak speed in matrix products."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..deploy import DTYPES
from ..deploy.onednn import PackedLinear, can_pack
from .timing import clock_for

_SIDES = {"cuda": 8192, "cpu": 2048}
# PyTorch has no fast fp16 product for CPUs: one with 2048 rows takes seconds.
_SIDE_OF_FP16_ON_CPU = 512


@dataclass(frozen=True)
class Machine:
    """Hardware and software on which speeds are measured.

    Attributes:
        device: Name of the processor, or of the GPU.
        cores: Number of processor cores that this process may use.
        threads: Number of threads that PyTorch uses on the CPU.
        instructions: Widest vector instructions that PyTorch uses on the CPU.
        system: Operating system.
        python: Version of Python.
        torch: Version of PyTorch.
        cuda: Version of CUDA, or None.
        tf32: Whether fp32 matrix products on the GPU may use TF32.
        tf32_convolutions: Whether fp32 convolutions on the GPU may, as they do by default.
    """

    device: str
    cores: int
    threads: int
    instructions: str
    system: str
    python: str
    torch: str
    cuda: str | None
    tf32: bool
    tf32_convolutions: bool


def describe_machine(device: torch.device) -> Machine:
    """Describe this machine.

    Args:
        device: Device that models run on.
    """
    on_gpu = device.type == "cuda"
    return Machine(
        device=torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        cores=available_cores(),
        threads=torch.get_num_threads(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        system=platform.system(),
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        tf32=on_gpu and torch.backends.cuda.matmul.allow_tf32,
        tf32_convolutions=on_gpu and torch.backends.cudnn.allow_tf32,
    )


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor.

    Args:
        info: Linux file that contains it.
    """
    if info.is_file():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def matrix_product(
    precision: str, device: torch.device, side: int | None = None
) -> tuple[Callable[[], object], int]:
    """Return a large product of square matrices, which measures the machine's peak speed.

    On a CPU, PyTorch has two libraries for it; which one is faster depends on the processor, and
    the faster one is used.

    Args:
        precision: "fp32", "bf16" or "fp16".
        device: Device that computes it.
        side: Number of rows and columns; by default large enough for the launch cost to be
            negligible.

    Returns:
        A function that computes the product, and its number of multiply-accumulates.
    """
    if side is None:
        slow = precision == "fp16" and device.type == "cpu"
        side = _SIDE_OF_FP16_ON_CPU if slow else _SIDES[device.type]
    dtype = DTYPES[precision]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    result = torch.empty(side, side, device=device, dtype=dtype)
    products: list[Callable[[], object]] = [lambda: torch.mm(left, right, out=result)]
    if device.type == "cpu" and can_pack(dtype):
        layer = nn.Linear(side, side, bias=False, dtype=dtype)
        packed = PackedLinear(layer)
        products.append(lambda: packed(left))
    clock = clock_for(device)
    best = min(products, key=lambda product: min(clock.seconds(product, 1) for _ in range(3)))
    return best, side**3
