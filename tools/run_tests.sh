#!/usr/bin/env bash
# Check style and run the tests, in the virtual environment .venv of the checkout, which it makes:
#
#   bash tools/run_tests.sh [arguments of pytest]
#
# Without arguments all tests run; -m 'not slow' leaves the slow ones out. LPV_PYTHON chooses the
# interpreter of a new environment, LPV_REAL_DATA names a folder of real word data that some tests
# use, LPV_TEST_SEED=NUMBER starts the random numbers of the tests elsewhere.
set -euo pipefail
# shellcheck source=tools/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
prepare_environment "$root/requirements/lock.txt" "$root/requirements/tests.txt"
cd "$root"
export PATH=$venv/bin:$PATH
# Runs leave copies of their configs there.
"$python" -m ruff check --extend-exclude work_dirs .
"$python" -m ruff format --check --extend-exclude work_dirs .
# One process per core, so one thread each. The tests of a file share what they have built.
export OMP_NUM_THREADS=1
# In the order of tests/conftest.py, which puts slow files first.
exec "$python" -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
