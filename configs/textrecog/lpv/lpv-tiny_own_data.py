# Train LPV-Tiny on your own words. LPV_TRAIN_DATA and LPV_VAL_DATA name LMDB folders, or folders
# with a tree of them; they must not share words.
_base_ = [
    "_base_lpv-tiny.py",
    "../_base_/schedules/schedule_adamw_onecycle.py",
    "../_base_/default_runtime.py",
]

max_iters = 20_000
param_scheduler = [
    dict(type="OneCycleLR", by_epoch=False, eta_max=7e-4, total_steps=max_iters, pct_start=0.1)
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(interval=20))
log_processor = dict(window_size=20)

train_dataloader = dict(
    batch_size=96,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="LPVLMDBDataset",
        ann_file="{{$LPV_TRAIN_DATA:data/train}}",
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=96,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LPVLMDBDataset",
        ann_file="{{$LPV_VAL_DATA:data/val}}",
        test_mode=True,
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=96)
