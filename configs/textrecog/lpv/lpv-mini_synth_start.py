# The first training run of LPV-Mini: on easy numbers it learns within minutes to locate characters,
# while words as difficult as real ones take far longer (docs/synth.md).
_base_ = ["lpv-tiny_synth.py", "_base_mini.py", "_base_mini_synth.py"]

model = dict(_base_.mini_model, data_preprocessor=dict(batch_augments=[]))
rendered_numbers = dict(
    _base_.rendered_words,
    **_base_.mini_pool,
    dataset=dict(
        _base_.rendered_words["dataset"],
        **_base_.mini_easy,
        charset="digits",
        max_length=6,
    ),
    folder=_base_.rendered_words["folder"] + "_start",
)
train_dataloader = dict(dataset=dict(batch_size=64, sources=[rendered_numbers]))
optim_wrapper = dict(optimizer=dict(weight_decay=0.0), clip_grad=dict(max_norm=1))
custom_hooks = [
    # Without weight averaging: the average would still contain much of the initial weights.
    dict(type="TimeBudgetHook", minutes=4, peak_lr=2e-3, mask_from=1.0),
    dict(type="PoolUsageHook"),
]
default_hooks = _base_.mini_hooks
