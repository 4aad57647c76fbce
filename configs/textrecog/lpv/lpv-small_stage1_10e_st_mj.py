_base_ = [
    "_base_lpv-small.py",
    "../_base_/datasets/{{$LPV_DATA_TREE:lpv}}_tree.py",
    "../_base_/schedules/schedule_adam_step_10e.py",
    "../_base_/default_runtime.py",
]

train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
