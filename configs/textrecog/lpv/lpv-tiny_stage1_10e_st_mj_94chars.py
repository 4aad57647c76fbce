# 94 characters: case-sensitive, with punctuation.
_base_ = ["lpv-tiny_stage1_10e_st_mj.py"]

characters = (
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)
model = dict(
    decoder=dict(dictionary=dict(characters=characters), module_loss=dict(letter_case="unchanged")),
)

label_filter = dict(charset=characters, case_sensitive=True)
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(**words, label_filter=label_filter)
            for words in _base_.train_dataloader.dataset.datasets
        ]
    )
)

# The published protocol, and one that counts case and punctuation in the same words.
val_evaluator = dict(
    metrics=[
        dict(type="BenchmarkMetric"),
        dict(type="BenchmarkMetric", case_sensitive=True, prefix="case"),
    ]
)
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best="case/accuracy"))
