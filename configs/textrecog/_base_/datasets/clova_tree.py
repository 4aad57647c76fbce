# The same data in the folder layout of CLOVA's deep-text-recognition-benchmark.
_base_ = ["lpv_tree.py"]

test_dataloader = dict(dataset=dict(sets=dict(IIIT5k="evaluation/IIIT5k_3000")))
