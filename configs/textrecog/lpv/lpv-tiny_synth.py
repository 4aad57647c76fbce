# LPV-Tiny on rendered words alone, in 16 minutes on one large GPU (docs/synth.md): words are
# rendered during training, stored on the GPU, and augmented there. Both stages are in one run.
_base_ = [
    "_base_lpv-tiny.py",
    "../_base_/schedules/schedule_adamw_onecycle.py",
    "../_base_/default_runtime.py",
]

model = dict(
    # No rendered image recurs often enough to be memorised.
    encoder=dict(drop_path_rate=0.0),
    decoder=dict(with_mask=True, glrm=dict(dropout=0.0)),
    data_preprocessor=dict(batch_augments=[dict(type="BatchTextAugment")]),
)

# A pack of fonts and words, for a machine that has none (docs/rendering.md).
fonts, words = "{{$LPV_FONTS:none}}", "{{$LPV_WORDS:none}}"
rendered_words = dict(
    dataset=dict(
        type="RenderedWordDataset",
        length=1_000_000_000,
        # As blurred as the training words of ICDAR 2015, and with more of the common words.
        render=dict(
            clean_prob=0.18,
            blur_prob=0.6,
            blur=(0.01, 0.11),
            lowres_prob=0.35,
            lowres_height=(7.5, 16.0),
            frequency_power=0.65,
        ),
        fonts=[] if fonts == "none" else [fonts],
        system_fonts=fonts == "none",
        words=None if words == "none" else words,
        pipeline=[_base_.resize],
    ),
    folder="{{$LPV_POOL:data/pool}}",
    capacity=4_000_000,
    workers=15,
)
train_dataloader = dict(
    batch_size=1,  # a batch of 1,024 is one item
    num_workers=0,
    collate_fn=dict(type="collate_single"),
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="StreamedWordDataset",
        batch_size=1024,
        sources=[rendered_words],
        loss=dict(type="CPAModuleLoss", letter_case="lower", dictionary=_base_.dictionary),
    ),
)

# Validation words: the last ones of two real training sets. No choice depends on a benchmark.
real_data = "{{$LPV_REAL_DATA:data/real}}"
held_out = 250
real_sets = ["IIIT5K_train", "IC15_train"]
validation_words = [
    dict(
        type="LPVLMDBDataset",
        data_root=real_data,
        ann_file=name,
        indices=-held_out,
        test_mode=True,
        pipeline=_base_.test_pipeline,
    )
    for name in real_sets
]
val_dataloader = dict(
    batch_size=256,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ConcatDataset", datasets=validation_words),
)
test_dataloader = val_dataloader

# Learning rate, mask and end of training follow the clock, and max_iters is never reached.
max_iters = 1_000_000
param_scheduler = None
train_cfg = dict(max_iters=max_iters, val_interval=1000)
call_minutes = 8.6
custom_hooks = [
    dict(
        type="TimeBudgetHook",
        minutes=16,
        call_minutes=call_minutes,
        peak_lr=1.2e-3,
        mask_from=0.5,
    ),
    # The average looks back interval / momentum = 330 iterations, few compared with the
    # decay of the learning rate.
    dict(type="EMAHook", momentum=3e-2, interval=10, update_buffers=True),
    dict(type="PoolUsageHook"),
]
# The last checkpoint counts, not the best: scores with and without the mask are not comparable.
default_hooks = dict(
    # Scores on the validation words belong to an iteration; there are no epochs.
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(interval=1000, max_keep_ckpts=1, save_best=None),
    # Runs unattended: a non-finite loss or gradient costs one step, not the rest of the time.
    non_finite_guard=dict(action="skip"),
)
