from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Matches ``@MODELS.register_module()`` above ``class GLRM``.
REGISTERED = re.compile(r"^@([A-Z_]+)\.register_module\(.*?\)\nclass (\w+)", re.MULTILINE)


def test_importing_the_package_registers_every_component():
    found = [
        match
        for file in sorted((ROOT / "lpv_mmocr").rglob("*.py"))
        for match in REGISTERED.findall(file.read_text(encoding="utf-8"))
    ]
    assert ("DATASETS", "RenderedWordDataset") in found
    assert ("MODELS", "LPV") in found
    script = (
        "import lpv_mmocr, mmocr.registry as registry\n"
        f"print([name for kind, name in {found} if getattr(registry, kind).get(name) is None])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert result.stdout.strip().endswith("[]"), result.stdout + result.stderr
