# Words keep their proportions: 32 pixels high, at most 100 wide, padded with black on the right.
_base_ = ["lpv-tiny_stage1_10e_st_mj.py"]

rescale = dict(
    type="RescaleToHeight",
    height=32,
    min_width=4,
    max_width=100,
    backend="pillow",
    interpolation="bicubic",
)
pad = dict(type="PadToWidth", width=100)
load = [dict(type="LoadImageFromNDArray"), dict(type="LoadOCRAnnotations", with_text=True)]
# Padded last, so that the padding is black in training, too.
train_pipeline = [*load, rescale, dict(type="TextAugment"), pad, dict(type="PackWordInputs")]
test_pipeline = [dict(type="LoadWordImage"), *load, rescale, pad, dict(type="PackWordInputs")]
tta_pipeline = [
    dict(type="LoadWordImage"),
    *load,
    dict(type="TestTimeAug", transforms=[_base_.looks, [rescale], [pad], [_base_.pack]]),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
