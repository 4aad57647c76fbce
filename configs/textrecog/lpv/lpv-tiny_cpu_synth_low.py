# Before lpv-tiny_cpu_synth.py: a grown LPV-Mini learns to use what is new in it, on a map as low as
# before. Weights have the same shapes on the whole map, which takes three times as long.
_base_ = "lpv-tiny_cpu_synth.py"

model = dict(encoder=dict(merge_strides=((2, 1), (2, 1))))
train_cfg = dict(val_interval=1000)
custom_hooks = [
    # The whole map goes on from here, so the rate stays up; without an average of the weights,
    # which would hold much of those it began with.
    dict(type="TimeBudgetHook", minutes=15, peak_lr=4e-4, final_lr=0.75, mask_from=0.0),
    dict(type="PoolUsageHook"),
    dict(type="InitialWeightsHook", source="grown.pth"),
]
