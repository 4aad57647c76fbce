# A modern schedule: warm-up and cosine decay in one cycle, decoupled weight decay, bfloat16. Decay
# applies to all weights, also of norms and position embedding, as in training the bundled models.
max_iters = 100_000
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    optimizer=dict(type="AdamW", lr=7e-4, betas=(0.9, 0.99), weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=20, norm_type=2),
)
param_scheduler = [
    dict(type="OneCycleLR", by_epoch=False, eta_max=7e-4, total_steps=max_iters, pct_start=0.1)
]
train_cfg = dict(type="ResumableIterBasedTrainLoop", max_iters=max_iters, val_interval=2000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(base_batch_size=384)
