# LPV-Mini: a third of LPV-Tiny's parameters, and ten times as fast to train on a CPU. As in SVTR,
# each merging halves the height of the feature map, while that of LPV-Tiny keeps its height.
mini_model = dict(
    encoder=dict(
        embed_dims=(64, 96, 192),
        depths=(1, 3, 2),
        num_heads=(2, 3, 6),
        num_local_blocks=3,
        merge_strides=((2, 1), (2, 1)),
        drop_path_rate=0.0,
    ),
    decoder=dict(
        in_channels=192,
        # CPUs are slow at convolutions with 24 channels, which is an eighth of 192.
        attention=dict(key_dim=32),
        glrm=dict(num_layers=1, num_heads=6, ffn_dim=512, dropout=0.0),
        with_mask=True,
    ),
)
