# lpv-mini_synth.py continued on rendered and real words, half of every batch each; the mask is on.
_base_ = ["lpv-tiny_synth_finetune.py", "_base_mini.py", "_base_mini_synth.py"]

model = _base_.mini_model
rendered_words = dict(_base_.rendered_words, **_base_.mini_pool)
train_dataloader = dict(
    dataset=dict(
        batch_size=_base_.mini_batch_size,
        sources=[rendered_words, _base_.train_dataloader.dataset.sources[1]],
    )
)
train_cfg = dict(val_interval=500)
custom_hooks = [
    dict(type="TimeBudgetHook", minutes=7, peak_lr=5e-4, mask_from=0.0),
    # The average looks back 200 of about 1,200 iterations.
    dict(type="EMAHook", momentum=5e-2, interval=10, update_buffers=True),
    dict(type="PoolUsageHook"),
    dict(type="InitialWeightsHook", source="work_dirs/lpv-mini_synth/LAST_CHECKPOINT.pth"),
]
default_hooks = _base_.mini_hooks
