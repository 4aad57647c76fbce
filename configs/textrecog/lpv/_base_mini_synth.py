# Settings shared by the training runs of LPV-Mini on rendered words.
mini_pool = dict(capacity=300_000, workers=1, chunk_size=512)
mini_batch_size = 96
# The plain preset, without the changes of lpv-tiny_synth.py to words of full difficulty.
mini_easy = dict(difficulty="easy", render=None)
mini_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=500))
