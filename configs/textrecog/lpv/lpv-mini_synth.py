# LPV-Mini on rendered words alone, in 78 minutes on two CPU cores (docs/synth.md). A third of every
# batch is easy words, from which it learns what letters look like.
_base_ = ["lpv-tiny_synth.py", "_base_mini.py", "_base_mini_synth.py"]

model = _base_.mini_model
full_words = dict(_base_.rendered_words, **_base_.mini_pool, weight=2)
easy_words = dict(
    full_words,
    dataset=dict(full_words["dataset"], **_base_.mini_easy),
    folder=full_words["folder"] + "_easy",
    weight=1,
)
train_dataloader = dict(
    dataset=dict(batch_size=_base_.mini_batch_size, sources=[full_words, easy_words])
)
custom_hooks = [
    dict(type="TimeBudgetHook", minutes=78, peak_lr=2e-3, mask_from=0.5),
    # The average looks back 1,000 iterations.
    dict(type="EMAHook", momentum=1e-2, interval=10, update_buffers=True),
    dict(type="PoolUsageHook"),
    dict(type="InitialWeightsHook", source="work_dirs/lpv-mini_synth_start/LAST_CHECKPOINT.pth"),
]
default_hooks = _base_.mini_hooks
