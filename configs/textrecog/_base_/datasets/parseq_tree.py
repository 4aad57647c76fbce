# The same data in the folder layout of PARSeq's release.
_base_ = ["lpv_tree.py"]

train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(
                type="LPVLMDBDataset",
                data_root=_base_.data_root,
                ann_file="train/synth/MJ",
                hold_out=_base_.num_held_out,
            ),
            dict(type="LPVLMDBDataset", data_root=_base_.data_root, ann_file="train/synth/ST"),
        ]
    )
)
val_dataloader = dict(dataset=dict(ann_file="train/synth/MJ"))
test_dataloader = dict(
    dataset=dict(
        sets=dict(
            IIIT5k="test/IIIT5k",
            SVT="test/SVT",
            IC13_857="test/IC13_857",
            IC15_1811="test/IC15_1811",
            SVTP="test/SVTP",
            CUTE80="test/CUTE80",
            IC13_1015="test/IC13_1015",
            IC15_2077="test/IC15_2077",
        )
    )
)
