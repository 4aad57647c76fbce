# A modern recipe for real data: Union14M-L as LMDB under LPV_DATA_ROOT, AdamW with warm-up and one
# cycle, bfloat16. The best checkpoint is chosen on Union14M-L's own validation words.
_base_ = [
    "_base_lpv-base.py",
    "../_base_/datasets/{{$LPV_DATA_TREE:lpv}}_tree.py",
    "../_base_/schedules/schedule_adamw_onecycle.py",
    "../_base_/default_runtime.py",
]

train_dataloader = dict(
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type="LPVLMDBDataset",
        data_root=_base_.data_root,
        ann_file="Union14M-L/train",
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="LPVLMDBDataset",
        data_root=_base_.data_root,
        ann_file="Union14M-L/val",
        test_mode=True,
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
