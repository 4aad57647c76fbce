# shellcheck shell=bash
# Shared by slurm_train.sh and slurm_test.sh, which describe the variables; to be sourced.
#
# start_job SCRIPT PARTITION JOB_NAME ARGUMENTS... runs a script of this folder in all processes.

start_job() {
    local script=$1 partition=$2 job_name=$3
    shift 3
    local tools gpus=${GPUS:-8} gpus_per_node=${GPUS_PER_NODE:-8} devices=()
    tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    if ((gpus < gpus_per_node)); then gpus_per_node=$gpus; fi
    if ((gpus_per_node > 0)); then
        devices=("--gres=gpu:$gpus_per_node" "--ntasks-per-node=$gpus_per_node")
    fi
    export MASTER_PORT=${PORT:-29500}
    # shellcheck disable=SC2086 # SRUN_ARGS holds several words
    PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" exec srun \
        -p "$partition" --job-name="$job_name" ${devices[@]+"${devices[@]}"} --ntasks="$gpus" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
        python -u "$tools/$script" --launcher slurm "$@"
}
