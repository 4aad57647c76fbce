# The CPA decoder behind a backbone of MMOCR's model zoo; nothing else is needed to combine them.
_base_ = ["lpv-tiny_own_data.py"]

model = dict(
    backbone=dict(type="ResNet31OCR"),
    encoder=None,
    decoder=dict(in_channels=512),
)
