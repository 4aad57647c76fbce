from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lpv_mmocr.rendering.processes import single_threaded_opencv

import cv2
import pytest

# Imported by its path, because importing the package takes seconds.
PROCESSES = Path(__file__).parents[2] / "lpv_mmocr" / "rendering" / "processes.py"

# Gives OpenCV's threads time to fall asleep: only then does a fork hang without the fix.
AFTER_THREADS = """
import time
from processes import single_threaded_opencv, worker_context
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
        cwd=PROCESSES.parent,
        timeout=120,
    )
    assert result.stdout == "worked\n", result.stderr


def test_number_of_threads_is_restored():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with single_threaded_opencv():
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(threads)


POOL = """
import os
import time
from processes import worker_pool

with worker_pool(3) as pool:
    print(*{pool.submit(os.getpid).result() for _ in range(20)}, flush=True)
    busy = [pool.submit(time.sleep, 0.2 + 0.1 * k) for k in range(3)]
    print(*{process for process in pool._processes}, flush=True)
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"  # ended, perhaps with its status not collected yet


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_parent_that_is_killed(number):
    parent = subprocess.Popen(
        [sys.executable, "-c", POOL], stdout=subprocess.PIPE, text=True, cwd=PROCESSES.parent
    )
    parent.stdout.readline()
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 3 and all(map(is_running, workers))
    os.kill(parent.pid, number)
    parent.wait(timeout=30)
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)
    parent.stdout.close()
