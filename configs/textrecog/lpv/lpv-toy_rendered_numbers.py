# Starting point for trials with the small LPV: on easy numbers it learns to locate characters in a
# few hundred iterations, while real words alone take thousands.
_base_ = "lpv-toy_own_data.py"

train_pipeline = [*_base_.train_pipeline[:-2], _base_.pack]  # without TextAugment
numbers = dict(type="RenderedWordDataset", difficulty="easy", charset="digits", max_length=6)
_base_.train_dataloader.pop("dataset")
_base_.val_dataloader.pop("dataset")
_base_.test_dataloader.pop("dataset")
train_dataloader = dict(dataset=dict(**numbers, reuse=2, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**numbers, seed=1, length=200, pipeline=train_pipeline))
test_dataloader = val_dataloader

max_iters = 1200
optim_wrapper = dict(optimizer=dict(weight_decay=0.0), clip_grad=dict(max_norm=1))
param_scheduler = [
    dict(type="LinearLR", by_epoch=False, start_factor=0.05, end=60),
    dict(type="LinearLR", by_epoch=False, end_factor=0.01, begin=780, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=400)
default_hooks = dict(checkpoint=dict(interval=400))
