#!/usr/bin/env bash
# Check style and run the tests in the virtual environment .venv of the checkout, created if needed:
#
#   bash tools/run_tests.sh [arguments of pytest]
#
# Without arguments, the fast tests run; with the argument tests, all run, as in CI. LPV_PYTHON
# selects the interpreter for a new environment, LPV_REAL_DATA names a folder of real word data that
# some tests use, and LPV_TEST_SEED=NUMBER changes the random seed of the tests.
set -euo pipefail
# shellcheck source=tools/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
prepare_environment "$root/requirements/lock.txt" "$root/requirements/tests.txt"
cd "$root"
export PATH=$venv/bin:$PATH
# Runs leave copies of their configs in work_dirs.
"$python" -m ruff check --extend-exclude work_dirs .
"$python" -m ruff format --check --extend-exclude work_dirs .
# One process per core, so one thread each. Tests in the same file share what they build.
export OMP_NUM_THREADS=1
(($#)) || set -- -m "not slow"
# Keep the order of tests/conftest.py, which puts slow files first.
exec "$python" -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
