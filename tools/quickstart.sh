#!/usr/bin/env bash
# From nothing to read words in one command:
#
#   bash tools/quickstart.sh
#
# Makes .venv in the checkout and installs into it, reads words with the model that comes along;
# then renders pictures of numbers, trains a toy-size LPV on them for at most three minutes, and
# reads pictures it has not seen. Results are in work_dirs/quickstart; a second run skips what is
# done. LPV_PYTHON chooses the interpreter.
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
