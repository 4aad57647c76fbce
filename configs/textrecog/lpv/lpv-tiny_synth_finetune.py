# lpv-tiny_synth.py continued on rendered and real words, half of every batch each; the mask is on.
_base_ = "lpv-tiny_synth.py"

real_words = [
    dict(
        type="LPVLMDBDataset",
        data_root=_base_.real_data,
        ann_file=name,
        hold_out=_base_.held_out,
        pipeline=_base_.train_pipeline[:3],
    )
    for name in _base_.real_sets
]
train_dataloader = dict(
    dataset=dict(
        sources=[
            _base_.rendered_words,
            # The two kinds of dataset have different names in their metainfo.
            dict(dataset=dict(type="ConcatDataset", datasets=real_words, verify_meta=False)),
        ]
    )
)
train_cfg = dict(val_interval=200)
custom_hooks = [
    dict(
        type="TimeBudgetHook",
        minutes=1.7,
        call_minutes=_base_.call_minutes,
        peak_lr=3e-4,
        mask_from=0.0,
    ),
    # The average starts as a copy of the initial weights. It looks back 100 of about 500
    # iterations, so that nothing of them is left in it.
    dict(type="EMAHook", momentum=0.1, interval=10, update_buffers=True),
    *_base_.custom_hooks[2:],
    dict(type="InitialWeightsHook", source="work_dirs/lpv-tiny_synth/LAST_CHECKPOINT.pth"),
]
default_hooks = dict(checkpoint=dict(interval=500))
