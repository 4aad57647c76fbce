# A small LPV for trying out data on a CPU: it learns real words in minutes, but reads far worse
# than LPV-Tiny. LPV_TRAIN_DATA names one LMDB; its last 200 words are held out for validation.
_base_ = "lpv-tiny_own_data.py"

model = dict(
    encoder=dict(
        embed_dims=(48, 96, 128),
        depths=(1, 2, 1),
        num_heads=(2, 4, 4),
        num_local_blocks=2,
        merge_strides=((2, 1), (2, 1)),
        drop_path_rate=0.0,
    ),
    decoder=dict(in_channels=128, glrm=dict(num_layers=1, num_heads=4, ffn_dim=256, dropout=0.0)),
)

held_out = 200
max_iters = 3000
optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(type="OneCycleLR", by_epoch=False, eta_max=2e-3, total_steps=max_iters, pct_start=0.1)
]
train_cfg = dict(max_iters=max_iters)
train_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(hold_out=held_out))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(ann_file="{{$LPV_TRAIN_DATA:data/train}}", indices=-held_out),
)
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=32)
