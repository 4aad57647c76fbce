# The released schedule: 10 epochs of 15.9 million words in batches of 4 x 96.
optim_wrapper = dict(
    type="DeferredOptimWrapper",
    optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0, fused=True),
    clip_grad=dict(max_norm=20, norm_type=2),
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[240_000], gamma=0.1)]
train_cfg = dict(type="ResumableIterBasedTrainLoop", max_iters=413_940, val_interval=5000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(base_batch_size=4 * 96)
