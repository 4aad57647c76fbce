#!/usr/bin/env bash
# Train LPV-Tiny on rendered words, fine-tune it with real ones, and publish both, step by step:
#
#   bash tools/train_synth.sh WORK_DIR [KEY=VALUE of the configs ...]
#
# Every call does at most about nine minutes of work and says what is next; call it again until it
# says that all is done. A call that is lost costs its own minutes only. LPV_REAL_DATA names the
# folder with IIIT5K_train and IC15_train, LPV_FONTS and LPV_WORDS a pack of fonts and its words
# (tools/dataset_converters/pack_fonts.py), LPV_POOL where rendered pictures lie meanwhile.
set -euo pipefail
if (($# < 1)); then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
work=$1
shift
tools=$(cd "$(dirname "$0")" && pwd)
configs=$(dirname "$tools")/configs/textrecog/lpv
export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
export LPV_POOL=${LPV_POOL:-$work/pool}

# run NAME CONFIG [KEY=VALUE ...]: one call of a training.
run() {
    local name=$1 config=$2 started=$SECONDS
    shift 2
    set -- "$@" "${options[@]}"
    python "$tools/train.py" "$configs/$config" --work-dir "$work/$name" --resume \
        ${1:+--cfg-options "$@"}
    echo "$name: this call took $((SECONDS - started)) s"
}

# What comes behind a call of training NAME: itself, until its time is used up.
next_step() {
    if [[ -f $work/$1/finished ]]; then echo "$2"; else echo "$1 goes on"; fi
}

# publish NAME FILE: what readers need, the model and its preprocessing and nothing of how it was
# trained; and its scores on the words kept out. The last checkpoint counts: its learning rate has
# come down, and an earlier one may have been trained without the mask.
publish() {
    python "$tools/model_converters/publish_checkpoint.py" "$(<"$work/$1/last_checkpoint")" \
        "$work/$2" --config "$configs/lpv-tiny_stage2_10e_st_mj.py"
    python "$tools/test.py" "$configs/lpv-tiny_synth.py" "$work/$2" \
        --work-dir "$work/test_$1" --report "$work/report_$1"
}

options=("$@")
mkdir -p "$work"
if [[ ! -f $work/synth/finished ]]; then
    run synth lpv-tiny_synth.py
    next=$(next_step synth finetune)
elif [[ ! -f $work/finetune/finished ]]; then
    run finetune lpv-tiny_synth_finetune.py "load_from=$(<"$work/synth/last_checkpoint")"
    next=$(next_step finetune publish)
else
    publish synth lpv-tiny.pth
    publish finetune lpv-tiny_finetuned.pth
    echo "All is done: $work/lpv-tiny.pth and $work/lpv-tiny_finetuned.pth"
    exit
fi
echo "Next: $next. The same command does it."
