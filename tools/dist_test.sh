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
config=$1 checkpoint=$2 gpus=$3
if [[ ! $gpus =~ ^([1-9][0-9]*|gpu|cpu|auto)$ ]]; then
    echo "error: GPUS is the number of processes on each machine, not $gpus" >&2
    exit 2
fi
shift 3
tools=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" exec python -m torch.distributed.run \
    --nnodes "${NNODES:-1}" \
    --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" \
    --master_port "${PORT:-29500}" \
    --nproc_per_node "$gpus" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
