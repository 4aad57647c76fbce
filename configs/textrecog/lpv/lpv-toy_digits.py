# A very small LPV that learns to read rendered numbers of 1 to 4 digits in about one minute on
# two CPU cores (tools/quickstart.sh). It shows that everything works, not how well LPV reads.
_base_ = ["_base_lpv-tiny.py", "../_base_/default_runtime.py"]

img_size = (32, 64)
model = dict(
    encoder=dict(
        img_size=img_size,
        embed_dims=(32, 64, 96),
        depths=(1, 1, 1),
        num_heads=(2, 4, 6),
        num_local_blocks=1,
        merge_strides=((2, 1), (2, 1)),
        drop_path_rate=0.0,
    ),
    decoder=dict(in_channels=96, glrm=dict(num_layers=1, num_heads=4, ffn_dim=192, dropout=0.0)),
)

load = [dict(type="LoadImageFromNDArray"), dict(type="LoadOCRAnnotations", with_text=True)]
resize = dict(type="Resize", scale=img_size[::-1], backend="pillow", interpolation="bicubic")
train_pipeline = [*load, resize, _base_.pack]
test_pipeline = [dict(type="LoadWordImage"), *train_pipeline]
tta_pipeline = [
    *test_pipeline[:-2],
    dict(type="TestTimeAug", transforms=[_base_.looks, [resize], [_base_.pack]]),
]

data_root = "{{$LPV_TOY_DATA:data/toy_digits}}"
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(
        type="LPVLMDBDataset", data_root=data_root, ann_file="train", pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LPVLMDBDataset",
        data_root=data_root,
        ann_file="val",
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

max_iters = 700
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.0),
    clip_grad=dict(max_norm=1, norm_type=2),
)
# The learning rate stays high until the attention has found the characters, as iterations are few.
param_scheduler = [
    dict(type="LinearLR", by_epoch=False, start_factor=0.05, end=60),
    dict(type="LinearLR", by_epoch=False, end_factor=0.01, begin=450, end=max_iters),
]
train_cfg = dict(type="ResumableIterBasedTrainLoop", max_iters=max_iters, val_interval=200)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(base_batch_size=16)

default_hooks = dict(checkpoint=dict(interval=200), logger=dict(interval=20))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
