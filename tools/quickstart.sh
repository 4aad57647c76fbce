#!/usr/bin/env bash
# From a fresh checkout to recognised words in one command:
#
#   bash tools/quickstart.sh
#
# Creates .venv in the checkout, installs into it, and reads words with the bundled model; then
# renders images of numbers, trains a toy-size LPV on them for at most three minutes, and reads
# images it has not seen. Results are in work_dirs/quickstart; a second run skips completed steps.
# LPV_PYTHON selects the interpreter for a new environment.
set -euo pipefail
if (($#)); then
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    [[ $1 == -h || $1 == --help ]] && exit 0
    exit 2
fi
# shellcheck source=tools/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
prepare_environment "$root/requirements/lock.txt"
cd "$root"
exec "$python" tools/quickstart.py
