from __future__ import annotations

from lpv_mmocr.bfloat16 import cpu_emulates_bfloat16, gpu_emulates_bfloat16

import pytest
import torch


def test_avx2_emulates_bfloat16_and_avx512_does_not():
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in ("AVX2", "AVX512") or not torch.backends.mkldnn.is_available():
        pytest.skip(f"nothing is known about a processor with {capability}")
    assert cpu_emulates_bfloat16() is (capability == "AVX2")


@pytest.mark.parametrize("error", [AttributeError, RuntimeError])
def test_unknown_support_does_not_count_as_emulation(monkeypatch, error):
    def fail() -> bool:
        raise error

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", fail)
    assert not cpu_emulates_bfloat16()


@pytest.mark.parametrize(("gpu", "own", "emulates"), [(0, 0, False), (1, 1, False), (1, 0, True)])
def test_gpu_without_bfloat16_of_its_own_emulates(monkeypatch, gpu, own, emulates):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpu))
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or own
    )
    assert bool(gpu_emulates_bfloat16()) is emulates
