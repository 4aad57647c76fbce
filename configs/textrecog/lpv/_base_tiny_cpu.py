# Settings shared by the training runs of LPV-Tiny on two CPU cores. They start from a trained
# LPV-Mini that was grown (tools/model_converters/grow_checkpoint.py).
cpu_pool = dict(capacity=300_000, workers=1, chunk_size=512)
cpu_batch_size = 64
cpu_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=200))
