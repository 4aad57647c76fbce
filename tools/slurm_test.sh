#!/usr/bin/env bash
# Evaluate on a Slurm cluster.
#
#   [VARIABLES] bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
#
# Variables: GPUS (number of processes, default 8), GPUS_PER_NODE (default 8; 0: run on CPUs),
# CPUS_PER_TASK (default 5), SRUN_ARGS (additional srun options), PORT (default 29500).
set -euo pipefail
if (($# < 4)); then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
# shellcheck source=tools/_slurm.sh
source "$(dirname "${BASH_SOURCE[0]}")/_slurm.sh"
start_job test.py "$@"
