from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lpv_mmocr.rendering.processes import single_threaded_opencv

import cv2

ROOT = Path(__file__).parents[2]

# OpenCV's threads are left to fall asleep: only then does a fork without the mend wait for ever.
AFTER_THREADS = """
import time
from lpv_mmocr.rendering.processes import single_threaded_opencv, worker_context
import cv2
import numpy as np

def work():
    cv2.setNumThreads(1)
    print("worked", flush=True)

cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((1000, 1000, 3), np.uint8), (0, 0), 9)
time.sleep(1)
with single_threaded_opencv():
    process = worker_context().Process(target=work)
    process.start()
    process.join()
"""


def test_a_worker_starts_after_opencv_has_used_threads():
    result = subprocess.run(
        [sys.executable, "-c", AFTER_THREADS],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert result.stdout == "worked\n", result.stderr


def test_threads_are_allowed_again():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with single_threaded_opencv():
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(threads)
