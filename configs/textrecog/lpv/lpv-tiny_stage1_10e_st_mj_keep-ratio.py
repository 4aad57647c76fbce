# Words keep their proportions: 32 pixels high, at most 100 wide, padded with black on the right.
_base_ = ["lpv-tiny_stage1_10e_st_mj.py"]

resize = [
    dict(
        type="RescaleToHeight",
        height=32,
        min_width=4,
        max_width=100,
        backend="pillow",
        interpolation="bicubic",
    ),
    dict(type="PadToWidth", width=100),
]
load = [dict(type="LoadImageFromNDArray"), dict(type="LoadOCRAnnotations", with_text=True)]
train_pipeline = [*load, *resize, dict(type="TextAugment"), dict(type="PackWordInputs")]
test_pipeline = [dict(type="LoadWordImage"), *load, *resize, dict(type="PackWordInputs")]
tta_pipeline = [
    dict(type="LoadWordImage"),
    *load,
    dict(
        type="TestTimeAug", transforms=[_base_.looks, *([step] for step in resize), [_base_.pack]]
    ),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
