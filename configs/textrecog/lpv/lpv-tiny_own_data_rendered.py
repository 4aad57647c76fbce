# Train LPV-Tiny on your own words (see lpv-tiny_own_data.py) and on as many rendered ones, half of
# every batch each. With few words of your own, the rendered ones provide most of the variety.
_base_ = "lpv-tiny_own_data.py"

own_words = _base_.train_dataloader.pop("dataset")
rendered_words = dict(
    type="RenderedWordDataset", reuse=4, pool_size=20_000, pipeline=_base_.train_pipeline
)
train_dataloader = dict(
    batch_sampler=dict(type="SourceShareBatchSampler", weights=[1, 1]),
    # The two kinds of dataset have different names in their metainfo, which MMEngine rejects.
    dataset=dict(type="ConcatDataset", datasets=[own_words, rendered_words], verify_meta=False),
)
