#!/usr/bin/env bash
# Train an LPV on rendered words, fine-tune it on real ones, and publish both, step by step:
#
#   bash tools/train_synth.sh WORK_DIR [[TRAINING:]KEY=VALUE of the configs ...]
#
# Call it repeatedly until it prints that all is done; every call prints what comes next. With
# LPV_SIZE=tiny, a call does at most about nine minutes of work, which is the most that losing the
# machine can cost; with mini and tiny_cpu, which have one more training run, a call completes a
# training run, and an interrupted one resumes from its last checkpoint. An option applies to all
# training runs, or to the one that it names. Variables:
#   LPV_SIZE              tiny, for a GPU (default); mini or tiny_cpu, for two CPU cores
#   LPV_REAL_DATA         folder with IIIT5K_train and IC15_train
#   LPV_FONTS, LPV_WORDS  a font pack and its words (tools/dataset_converters/pack_fonts.py),
#                         or "none" for those of this machine
#   LPV_POOL              folder for rendered images during training (default: WORK_DIR/pool)
#   LPV_START             checkpoint whose weights the first training run starts from (default:
#                         none; for tiny_cpu the bundled LPV-Mini, grown to LPV-Tiny)
#   LPV_CARRY             folder to which the state is saved in small files after every call, and
#                         from which a machine without it resumes (default: none)
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    sed -n '2,21s/^# \{0,1\}//p' "$0"
    exit
fi
if (($# < 1)); then
    sed -n '2,21s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
for name in LPV_FONTS LPV_WORDS; do
    if [[ -z ${!name:-} ]]; then
        echo "error: set LPV_FONTS and LPV_WORDS, of which $name is missing: with few fonts and words" \
            "a model learns little. tools/dataset_converters/pack_fonts.py --out FONTS --words-out" \
            "WORDS makes a pack on a machine that has them; \"none\" selects those of this machine" >&2
        exit 2
    fi
done
if [[ -n ${LPV_START:-} && ! -f $LPV_START ]]; then
    echo "error: there is no checkpoint $LPV_START, which LPV_START names" >&2
    exit 2
fi
size=${LPV_SIZE:-tiny}
# The training runs in order; each starts from the weights of the previous one.
case $size in
    tiny) trainings=(synth finetune) readers_config=lpv-tiny_stage2_10e_st_mj.py ;;
    mini) trainings=(start synth finetune) readers_config=lpv-mini_own_data.py ;;
    tiny_cpu) trainings=(low synth finetune) readers_config=lpv-tiny_stage2_10e_st_mj.py ;;
    *)
        echo "error: LPV_SIZE is tiny, mini or tiny_cpu, not $size" >&2
        exit 2
        ;;
esac
work=$1
shift
if [[ -f $work/size && $(<"$work/size") != "$size" ]]; then
    echo "error: $work holds a training run of LPV-$(<"$work/size"): choose another folder, or set" \
        "LPV_SIZE" >&2
    exit 2
fi
for option in "$@"; do
    key=${option%%=*}
    if [[ $key == *:* && " ${trainings[*]} " != *" ${key%%:*} "* ]]; then
        echo "error: $option is for training run ${key%%:*}, but LPV_SIZE=$size has: ${trainings[*]}" >&2
        exit 2
    fi
done
tools=$(cd "$(dirname "$0")" && pwd)
configs=$(dirname "$tools")/configs/textrecog/lpv
carry=$tools/model_converters/carry_checkpoint.py
export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
export LPV_POOL=${LPV_POOL:-$work/pool}
carried=${LPV_CARRY:+$LPV_CARRY/$size}
options=("$@")

# config_of NAME: print the config of a training run.
config_of() {
    if [[ $1 == synth ]]; then echo "$configs/lpv-${size}_synth.py"; else
        echo "$configs/lpv-${size}_synth_$1.py"
    fi
}

# run NAME [START]: do one call of a training run, which starts from the weights START.
run() {
    local name=$1 folder=$work/$1 started=$SECONDS before=0 sampler="" option
    local usage=$folder/gpu_utilisation.csv status=0 gpu=${CUDA_VISIBLE_DEVICES:-0}
    local -a given=()
    for option in ${options[@]+"${options[@]}"}; do
        if [[ $option == "$name":* ]]; then
            given+=("${option#*:}")
        elif [[ " ${trainings[*]} " != *" ${option%%:*} "* ]]; then # not for another run
            given+=("$option")
        fi
    done
    # Last, so that no option of the user overrides it. A name with commas would be a list.
    if [[ ${2:-} == *,* ]]; then
        given+=("load_from='$2'")
    elif [[ -n ${2:-} ]]; then
        given+=("load_from=$2")
    fi
    mkdir -p "$folder"
    if command -v nvidia-smi >/dev/null; then
        if [[ -f $usage ]]; then before=$(wc -l <"$usage"); fi
        # Of the GPU that trains: the first one that CUDA shows.
        nvidia-smi -i "${gpu%%,*}" --query-gpu=utilization.gpu --format=csv,noheader,nounits -l 5 >>"$usage" &
        sampler=$!
        trap "kill $sampler 2>/dev/null || true" EXIT
    fi
    # A signal, such as one of timeout, ends the training, which saves a checkpoint first; then this
    # script packs it below, instead of ending at once.
    local training="" received=0
    trap 'received=143; kill -TERM $training 2>/dev/null || true' TERM
    trap 'received=130; kill -TERM $training 2>/dev/null || true' INT
    python "$tools/train.py" "$(config_of "$name")" --work-dir "$folder" --resume \
        ${given[@]+--cfg-options "${given[@]}"} &
    training=$!
    if ((received)); then  # before the training had started
        sleep 0.2  # until it is no longer a copy of this script, with its traps
        kill -TERM "$training" 2>/dev/null || true
    fi
    while true; do # a signal ends a wait
        status=0
        wait "$training" || status=$?
        kill -0 "$training" 2>/dev/null || break
    done
    # timeout, for example, sends its signal twice: the second one must not end the packing.
    if ((received)); then trap '' TERM INT; else trap - TERM INT; fi
    if ((received && status)); then status=$received; fi
    if [[ -n $sampler ]]; then
        kill "$sampler" 2>/dev/null || true  # without a driver it has ended already
        wait "$sampler" 2>/dev/null || true
        trap - EXIT
        tail -n "+$((before + 1))" "$usage" | awk -v name="$name" '
            /^ *[0-9]/ { sum += $1; n++ }
            END { if (n) printf "%s: the GPU was busy for %.0f %% of this call\n", name, sum / n }'
    fi
    if [[ -n $carried && -f $folder/last_checkpoint ]]; then
        python "$carry" pack "$(last_of "$name")" "$carried/$name"
    fi
    trap - TERM INT
    if ((status)); then exit "$status"; fi
    echo "$name: this call took $((SECONDS - started)) s"
}

# last_of NAME: print the last checkpoint of a run; its folder may have been moved since.
last_of() {
    local path
    path=$(<"$work/$1/last_checkpoint")
    if [[ -f $work/$1/${path##*/} ]]; then path=$work/$1/${path##*/}; fi
    echo "$path"
}

# publish NAME FILE: write what inference needs, the model and its preprocessing, without names of
# data folders in the config; and its scores on the held-out words. The last checkpoint counts: its
# learning rate has decayed, and an earlier one may have been trained without the mask.
publish() {
    env -u LPV_TRAIN_DATA -u LPV_VAL_DATA -u LPV_DATA_ROOT -u LPV_DATA_TREE \
        python "$tools/model_converters/publish_checkpoint.py" "$(last_of "$1")" \
        "$work/$2" --config "$configs/$readers_config" --checksums
    python "$tools/test.py" "$(config_of synth)" "$work/$2" \
        --work-dir "$work/test_$1" --report "$work/report_$1"
    python "$tools/analysis_tools/plot_curves.py" "$work/$1" --out "$work/curves_$1.png"
}

mkdir -p "$work"
echo "$size" >"$work/size"
for name in "${trainings[@]}"; do
    # An empty folder is from a machine that was lost before it saved anything.
    if [[ -n $carried && ! -f $work/$name/last_checkpoint ]] &&
        [[ -n $(find "$carried/$name" -maxdepth 1 -name 'part_*' 2>/dev/null) ]]; then
        echo "$name: resumes from $carried/$name" # and not from LPV_START
        python "$carry" unpack "$carried/$name" "$work/$name"
    fi
done
weights=${LPV_START:-}
if [[ $size == tiny_cpu && -z $weights && ! -f $work/low/last_checkpoint ]]; then
    weights=$work/grown.pth
    python "$tools/model_converters/grow_checkpoint.py" \
        "$(dirname "$tools")/checkpoints/lpv-mini.pth" "$(config_of low)" "$weights"
fi
for index in "${!trainings[@]}"; do
    name=${trainings[index]}
    if [[ ! -f $work/$name/finished ]]; then
        run "$name" "$weights"
        next="$name continues"
        if [[ -f $work/$name/finished ]]; then next=${trainings[index + 1]:-publish}; fi
        echo "Next: $next. Run the same command again."
        exit
    fi
    weights=$(last_of "$name")
done
model=lpv-${size%_cpu}
publish synth "$model.pth"
publish finetune "${model}_finetuned.pth"
echo "All is done: $work/$model.pth and $work/${model}_finetuned.pth"
