_base_ = ["_base_lpv-tiny.py"]

model = dict(
    encoder=dict(
        embed_dims=(96, 192, 256), depths=(3, 6, 6), num_heads=(3, 6, 8), num_local_blocks=8
    ),
    decoder=dict(glrm=dict(num_layers=3)),
)
