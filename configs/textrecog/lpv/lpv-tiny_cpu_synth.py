# LPV-Tiny on rendered words alone, with the full feature map, in 84 minutes on two CPU cores
# (docs/synth.md).
_base_ = ["lpv-tiny_synth.py", "_base_tiny_cpu.py"]

train_dataloader = dict(
    dataset=dict(
        batch_size=_base_.cpu_batch_size,
        sources=[dict(_base_.rendered_words, **_base_.cpu_pool)],
    )
)
train_cfg = dict(val_interval=500)
custom_hooks = [
    # Without the mask while the attention adapts to the full feature map.
    dict(type="TimeBudgetHook", minutes=84, peak_lr=5e-4, warm_up=0.03, mask_from=0.25),
    # The average looks back 330 of about 3,300 iterations.
    *_base_.custom_hooks[1:],
    dict(
        type="InitialWeightsHook",
        source="work_dirs/lpv-tiny_cpu_synth_low/LAST_CHECKPOINT.pth",
    ),
]
default_hooks = _base_.cpu_hooks
