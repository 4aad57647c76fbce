# MJSynth, SynthText and the eight benchmark sets in the folder layout of LPV's release;
# LPV_DATA_TREE (lpv, clova or parseq) selects a layout from this folder. Pipelines come from the
# config that inherits this one.
data_root = "{{$LPV_DATA_ROOT:data}}"

# Number of words for choosing the best checkpoint: the last ones of MJSynth, held out from
# training. The benchmark sets play no part in that choice.
num_held_out = 5000

# The recipe's batch: 96 words on each of 4 GPUs, half of them MJSynth, half SynthText.
train_dataloader = dict(
    batch_size=96,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    batch_sampler=dict(type="SourceShareBatchSampler", weights=[1, 1]),
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            dict(
                type="LPVLMDBDataset",
                data_root=data_root,
                ann_file="training/MJ",
                hold_out=num_held_out,
            ),
            dict(type="LPVLMDBDataset", data_root=data_root, ann_file="training/ST"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LPVLMDBDataset",
        data_root=data_root,
        ann_file="training/MJ",
        indices=-num_held_out,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="BenchmarkDataset",
        data_root=data_root,
        sets=dict(
            IIIT5k="evaluation/IIIT5k",
            SVT="evaluation/SVT",
            IC13_857="evaluation/IC13_857",
            IC15_1811="evaluation/IC15_1811",
            SVTP="evaluation/SVTP",
            CUTE80="evaluation/CUTE80",
            IC13_1015="evaluation/IC13_1015",
            IC15_2077="evaluation/IC15_2077",
        ),
    ),
)
