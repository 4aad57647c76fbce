# LPV-Tiny, and everything that all sizes share.
dictionary = dict(
    type="CharacterDictionary",
    characters="0123456789abcdefghijklmnopqrstuvwxyz",
    with_start=True,
    with_end=True,
)
model = dict(
    type="LPV",
    encoder=dict(
        type="LPVSVTREncoder",
        img_size=(32, 100),
        embed_dims=(64, 128, 256),
        depths=(3, 6, 3),
        num_heads=(2, 4, 8),
        num_local_blocks=6,
        window_size=(7, 11),
        merge_strides=((1, 1), (1, 1)),
        drop_path_rate=0.1,
    ),
    decoder=dict(
        type="CPADecoder",
        in_channels=256,
        num_stages=3,
        max_seq_len=25,
        attention=dict(type="PositionAttention"),
        glrm=dict(type="GLRM", num_layers=2, num_heads=8, ffn_dim=1024, dropout=0.1),
        with_mask=False,
        mask_threshold=0.05,
        module_loss=dict(type="CPAModuleLoss", letter_case="lower"),
        postprocessor=dict(type="CPAPostprocessor"),
        dictionary=dictionary,
    ),
    data_preprocessor=dict(
        type="WordDataPreprocessor",
        mean=[0, 0, 0],
        std=[255, 255, 255],
        bgr_to_rgb=True,
    ),
)

# The released preprocessing: Pillow's bicubic, no padding. OpenCV's bicubic is different.
resize = dict(type="Resize", scale=(100, 32), backend="pillow", interpolation="bicubic")
pack = dict(type="PackWordInputs")
train_pipeline = [
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    resize,
    dict(type="TextAugment"),
    pack,
]
test_pipeline = [
    dict(type="LoadWordImage"),
    dict(type="LoadImageFromNDArray"),
    dict(type="LoadOCRAnnotations", with_text=True),
    resize,
    pack,
]

# Test-time augmentation (tools/test.py --tta): low-confidence words are read again, tall images
# turned on their side, any image tilted, sheared or cropped; the most confident reading is kept.
looks = [
    dict(type="WordLook"),
    dict(type="WordLook", turn=90, tall_only=True),
    dict(type="WordLook", turn=-90, tall_only=True),
    dict(type="WordLook", turn=-10),
    dict(type="WordLook", slant=0.3),
    dict(type="WordLook", margin=(-0.04, -0.06)),
    dict(type="WordLook", slope=0.4),
    dict(type="WordLook", turn=10),
]
tta_model = dict(type="BestLookTTAModel")
tta_pipeline = [
    *test_pipeline[:-2],
    dict(type="TestTimeAug", transforms=[looks, [resize], [dict(type="PackWordInputs")]]),
]
