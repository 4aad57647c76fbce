# Run before lpv-tiny_cpu_synth.py: a grown LPV-Mini learns to use its new parts, on a feature map
# as low as before. Weights have the same shapes for the full map, which takes three times as long
# per step.
_base_ = "lpv-tiny_cpu_synth.py"

model = dict(encoder=dict(merge_strides=((2, 1), (2, 1))))
train_cfg = dict(val_interval=1000)
custom_hooks = [
    # Training continues on the full map, so the learning rate stays high. Without weight averaging:
    # the average would still contain much of the initial weights.
    dict(type="TimeBudgetHook", minutes=15, peak_lr=4e-4, final_lr=0.75, mask_from=0.0),
    dict(type="PoolUsageHook"),
    dict(type="InitialWeightsHook", source="grown.pth"),
]
