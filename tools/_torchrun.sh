# shellcheck shell=bash
# Shared by dist_train.sh and dist_test.sh, which describe the variables; to be sourced.
#
# start_processes GPUS SCRIPT ARGUMENTS... runs a script of this folder in all processes.

start_processes() {
    local gpus=$1 script=$2 tools
    shift 2
    if [[ ! $gpus =~ ^([1-9][0-9]*|gpu|cpu|auto)$ ]]; then
        echo "error: GPUS is the number of processes on each machine, not $gpus" >&2
        exit 2
    fi
    tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" exec python \
        -m torch.distributed.run \
        --nnodes "${NNODES:-1}" \
        --node_rank "${NODE_RANK:-0}" \
        --master_addr "${MASTER_ADDR:-127.0.0.1}" \
        --master_port "${PORT:-29500}" \
        --nproc_per_node "$gpus" \
        "$tools/$script" --launcher pytorch "$@"
}
