"""Engines that run the network: onnxruntime or OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .metadata import METADATA_KEY, ModelError

ENGINES = ("onnxruntime", "openvino", "openvino-bf16")
_CPU = "CPUExecutionProvider"

Run = Callable[[np.ndarray], Sequence[np.ndarray]]


def start(
    path: Path, engine: str, *, threads: int | None, providers: Sequence[str] | None
) -> tuple[Run, str | None]:
    """Load a network.

    Args:
        path: ONNX file.
        engine: One of ``ENGINES``.
        threads: Number of threads per batch; None for the engine's default.
        providers: Execution providers of onnxruntime; None for the CPU.

    Returns:
        The network as a function of images (N, 3, H, W) that returns logits (N, T, C) and, if the
        file has them, attention maps (N, S, T, h, w); and the metadata of the file, or None.

    Raises:
        ModelError: If the file is not a readable ONNX file.
        ImportError: If the engine is not installed.
        ValueError: If the engine is unknown, has none of the providers, or does not take any.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "onnxruntime":
        return _start_onnxruntime(path, threads, providers)
    if providers is not None:
        raise ValueError("providers can only be given for the engine onnxruntime")
    return _start_openvino(path, threads, engine.endswith("bf16"))


def _start_onnxruntime(
    path: Path, threads: int | None, providers: Sequence[str] | None
) -> tuple[Run, str | None]:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("reading needs onnxruntime: pip install onnxruntime") from error
    wanted = [providers] if isinstance(providers, str) else list(providers or [_CPU])
    available = onnxruntime.get_available_providers()
    # Otherwise onnxruntime silently uses the CPU although the user asked for something else.
    names = [provider if isinstance(provider, str) else provider[0] for provider in wanted]
    if not set(names) & set(available):
        raise ValueError(
            f"onnxruntime has no {', '.join(names)} here; it has {', '.join(available)}"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # onnxruntime's errors have no common base
        raise ModelError(f"{path} is not a readable ONNX file ({_first_line(error)})") from error
    metadata = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    return lambda images: session.run(None, {"images": images}), metadata


def _start_openvino(path: Path, threads: int | None, bf16: bool) -> tuple[Run, str | None]:
    try:
        import openvino
    except ImportError as error:
        raise ImportError("the engine needs openvino: pip install openvino") from error
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise ModelError(f"{path} is not a readable ONNX file ({_first_line(error)})") from error
    key = ["framework", METADATA_KEY]
    metadata = model.get_rt_info(key).astype(str) if model.has_rt_info(key) else None
    request = openvino.compile_model(model, "CPU", options).create_infer_request()

    def run(images: np.ndarray) -> list[np.ndarray]:
        outputs = request.infer({"images": images})
        return [outputs[port] for port in outputs]

    return run, metadata


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
