# A grown LPV-Mini learns to use what is new in it, on a map as low as before. Weights have the same
# shapes on the whole map, on which the same training would take three times as long.
_base_ = ["lpv-tiny_synth.py", "_base_tiny_cpu.py"]

model = dict(_base_.cpu_model, encoder=dict(merge_strides=((2, 1), (2, 1)), drop_path_rate=0.0))
train_dataloader = dict(
    dataset=dict(
        batch_size=_base_.cpu_batch_size,
        sources=[dict(_base_.rendered_words, **_base_.cpu_pool)],
    )
)
train_cfg = dict(val_interval=1000)
custom_hooks = [
    # The whole map goes on from here, so the rate stays up; without an average of the weights,
    # which would hold much of those it began with.
    dict(type="TimeBudgetHook", minutes=15, peak_lr=4e-4, final_lr=0.75, mask_from=0.0),
    dict(type="PoolUsageHook"),
    dict(type="InitialWeightsHook", source="grown.pth"),
]
default_hooks = _base_.cpu_hooks
