"""Whether devices compute in bfloat16 or only emulate it, which is slow."""

from __future__ import annotations

import torch


def gpu_emulates_bfloat16() -> bool:
    """Return whether there is a GPU, and it has no bfloat16 of its own, as before Ampere."""
    return torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)


def cpu_emulates_bfloat16() -> bool:
    """Return whether oneDNN has no bfloat16 on this processor, such as x86 without AVX-512.

    PyTorch then multiplies matrices with simple loops of its own.
    """
    try:
        return not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    except (AttributeError, RuntimeError):  # undocumented, and absent without oneDNN
        return False
