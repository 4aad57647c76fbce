#!/usr/bin/env bash
# Evaluate with several processes on each machine, one per GPU, or on the CPU if there is no GPU.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
#
# On several machines, run it on each with NNODES, NODE_RANK (0, 1, ...), MASTER_ADDR (the machine
# of rank 0) and PORT set.
set -euo pipefail
if (($# < 3)); then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
# shellcheck source=tools/_torchrun.sh
source "$(dirname "${BASH_SOURCE[0]}")/_torchrun.sh"
config=$1 checkpoint=$2 gpus=$3
shift 3
start_processes "$gpus" test.py "$config" "$checkpoint" "$@"
