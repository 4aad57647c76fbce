# What the trainings of LPV-Mini on rendered words share.
mini_pool = dict(capacity=300_000, workers=1, chunk_size=512)
mini_batch_size = 96
mini_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=500))
