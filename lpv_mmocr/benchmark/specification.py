"""Models as specified on the command line: a name, an ONNX file or an adapter, and switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lpv_onnx import ENGINES

from ..cli import InputError
from ..deploy import DTYPES

SWITCHES = (*DTYPES, "compile", "deploy", "channels_last")

LPV = {
    "lpv-mini": "lpv-mini_own_data",
    **{f"lpv-{size}": f"lpv-{size}_stage2_10e_st_mj" for size in ("tiny", "small", "base")},
}
"""Short names of this project's configs: the models as they are used, with the mask."""

PEERS = {
    "mmocr:svtr-tiny": "svtr/svtr-tiny_20e_st_mj",
    "mmocr:svtr-base": "svtr/svtr-base_20e_st_mj",
    "mmocr:abinet-vision": "abinet/abinet-vision_20e_st-an_mj",
    "mmocr:satrn-small": "satrn/satrn_shallow-small_5e_st_mj",
    "mmocr:crnn": "crnn/crnn_mini-vgg_5e_mj",
}
"""Short names of recognisers in MMOCR's model zoo, for comparison."""

DEFAULT_MODELS = (*LPV, *PEERS)


@dataclass(frozen=True)
class Specification:
    """A model to measure, and how to run it.

    Attributes:
        label: Name in tables.
        config: Path of its config, or None for an adapter or ONNX file.
        adapter: File and function of an adapter, or None.
        onnx: ONNX file and the engine that runs it, or None.
        precision: "fp32", "bf16", "fp16", or None for the task's default.
        compile: Whether to run it through ``torch.compile``.
        deploy: Whether to measure the result of ``to_deploy()``.
        channels_last: Whether feature maps keep their channels in the innermost dimension.
        options: Config entries to change, by dotted key.
        at: Position on the axis of a sweep, or None.
        base: Label of the model that a sweep varies, or None.
    """

    label: str
    config: str | None = None
    adapter: tuple[str, str] | None = None
    onnx: tuple[str, str] | None = None
    precision: str | None = None
    compile: bool = False
    deploy: bool = False
    channels_last: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    at: float | None = None
    base: str | None = None

    def changed(self, label: str, at: float, options: Mapping[str, Any]) -> Specification:
        """Return the same model with changed config entries, for a sweep.

        Args:
            label: Text appended to the label.
            at: Position on the axis.
            options: Config entries, by dotted key.
        """
        return replace(
            self,
            label=f"{self.label} {label}",
            at=at,
            base=self.label,
            options={**self.options, **options},
        )


def parse_model(text: str) -> Specification:
    """Parse ``NAME[:switch…]``, or ``onnx:FILE.onnx[:ENGINE]``.

    Args:
        text: Short name, path of a config, ``SCOPE::PATH``, or ``mmocr:PATH`` for a config below
            ``textrecog`` of MMOCR's model zoo, followed by switches; or an ONNX file and an engine
            of ``lpv_onnx``.

    Raises:
        InputError: If there is no such model or switch, or two switches exclude each other.
    """
    if text.startswith("onnx:"):
        return _onnx_file(text)
    name, switches = _split_switches(text)
    if name in LPV:
        config, label = f"lpv_mmocr::textrecog/lpv/{LPV[name]}.py", name
    elif name in PEERS:
        config, label = f"mmocr::textrecog/{PEERS[name]}.py", name
    elif name.endswith(".py"):
        config, label = name, Path(name.rpartition("::")[2]).stem
    elif name.startswith("mmocr:") and "/" in name:
        config, label = f"mmocr::textrecog/{name.removeprefix('mmocr:')}.py", name
    else:
        raise InputError(
            f"{text!r} names no model: give a config file, one of {', '.join((*LPV, *PEERS))}, "
            "onnx:FILE.onnx, or mmocr:FOLDER/NAME of MMOCR's text recognition configs; all but "
            "onnx may be followed by any of the switches "
            f"{', '.join(SWITCHES)}, each after a colon"
        )
    return _with_switches(Specification(label, config=config), switches, text)


def parse_adapter(text: str) -> Specification:
    """Parse ``FILE.py:FUNCTION[:switch…]``.

    Args:
        text: Value of the option.

    Raises:
        InputError: If it has another form.
    """
    name, switches = _split_switches(text)
    file, _, function = name.rpartition(":")
    if not file.endswith(".py") or not function.isidentifier():
        raise InputError(f"--adapter must be FILE.py:FUNCTION[:switch…], got {text!r}")
    specification = Specification(function, adapter=(file, function))
    if "deploy" in switches:
        raise InputError(f"{text!r}: deploy is for LPV models; adapters return what to measure")
    return _with_switches(specification, switches, text)


def _onnx_file(text: str) -> Specification:
    """Parse ``onnx:FILE.onnx[:ENGINE]``."""
    file, colon, engine = text.removeprefix("onnx:").rpartition(".onnx")
    engine = engine.removeprefix(":") if engine else ENGINES[0]
    if not colon or engine not in ENGINES:
        raise InputError(
            f"{text!r}: give an ONNX file as onnx:FILE.onnx or onnx:FILE.onnx:ENGINE, where "
            f"ENGINE is one of {', '.join(ENGINES)}"
        )
    label = file if engine == ENGINES[0] else f"{file}:{engine}"
    precision = "bf16" if engine.endswith("bf16") else None  # otherwise the file specifies it
    return Specification(f"onnx:{label}", onnx=(f"{file}.onnx", engine), precision=precision)


def _split_switches(text: str) -> tuple[str, list[str]]:
    switches: list[str] = []
    name, colon, last = text.rpartition(":")
    while colon and last in SWITCHES:
        switches.insert(0, last)
        name, colon, last = name.rpartition(":")
    return f"{name}{colon}{last}", switches


def _with_switches(spec: Specification, switches: list[str], text: str) -> Specification:
    precisions = [switch for switch in switches if switch in DTYPES]
    if len(precisions) > 1 or len(set(switches)) < len(switches):
        raise InputError(f"{text!r}: give at most one precision, and each switch once")
    return replace(
        spec,
        label=":".join([spec.label, *switches]),
        precision=precisions[0] if precisions else None,
        **{name: name in switches for name in ("compile", "deploy", "channels_last")},
    )


def check_labels(specifications: list[Specification], baseline: str | None) -> str:
    """Check that labels are unique, and return the baseline's.

    Args:
        specifications: The models.
        baseline: Label of the model that others are compared with; by default the first.

    Returns:
        The baseline's label.

    Raises:
        InputError: If two models have the same label, there are none, or there is no such
            baseline.
    """
    labels = [spec.label for spec in specifications]
    if not labels:
        raise InputError("there is nothing to measure: give --models or --adapter")
    double = sorted({label for label in labels if labels.count(label) > 1})
    if double:
        raise InputError(f"given more than once: {', '.join(double)}")
    if baseline is not None and baseline not in labels:
        raise InputError(f"--baseline {baseline} is not one of the models: {', '.join(labels)}")
    return baseline or labels[0]
