"""What the commands and the code of the docs are run with."""

from __future__ import annotations

import lpv_mmocr  # noqa: F401  (mends first)

from quick_configs import configs_formatted_once  # noqa: F401
