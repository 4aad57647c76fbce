_base_ = ["_base_lpv-tiny.py"]

model = dict(
    encoder=dict(
        img_size=(48, 160),
        embed_dims=(128, 256, 384),
        depths=(3, 6, 9),
        num_heads=(4, 8, 12),
        num_local_blocks=8,
        merge_strides=((2, 1), (1, 1)),
    ),
    decoder=dict(in_channels=384, glrm=dict(num_layers=3, ffn_dim=1536)),
)

resize = dict(type="Resize", scale=(160, 48), backend="pillow", interpolation="bicubic")
train_pipeline = [
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    resize,
    dict(type="TextAugment"),
    dict(type="PackWordInputs"),
]
test_pipeline = [
    dict(type="LoadWordImage"),
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    resize,
    dict(type="PackWordInputs"),
]
tta_pipeline = [
    *test_pipeline[:-2],
    dict(type="TestTimeAug", transforms=[_base_.looks, [resize], [dict(type="PackWordInputs")]]),
]
