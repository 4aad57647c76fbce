#!/usr/bin/env bash
# Train on a Slurm cluster.
#
#   [VARIABLES] bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
#
# Variables: GPUS (all processes, default 8), GPUS_PER_NODE (default 8; 0 for CPU processes),
# CPUS_PER_TASK (default 5), SRUN_ARGS (more options of srun), PORT (default 29500).
set -euo pipefail
if (($# < 3)); then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
partition=$1 job_name=$2 config=$3
shift 3
tools=$(cd "$(dirname "$0")" && pwd)
gpus=${GPUS:-8} gpus_per_node=${GPUS_PER_NODE:-8}
if ((gpus < gpus_per_node)); then gpus_per_node=$gpus; fi
devices=()
if ((gpus_per_node > 0)); then
    devices=("--gres=gpu:$gpus_per_node" "--ntasks-per-node=$gpus_per_node")
fi
export MASTER_PORT=${PORT:-29500}
# shellcheck disable=SC2086 # SRUN_ARGS holds several words
PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" exec srun \
    -p "$partition" --job-name="$job_name" ${devices[@]+"${devices[@]}"} --ntasks="$gpus" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$tools/train.py" "$config" --launcher slurm "$@"
