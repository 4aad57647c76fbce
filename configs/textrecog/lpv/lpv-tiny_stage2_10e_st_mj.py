# The second stage: the same recipe with the GLRM's mask on, from the weights of stage 1.
_base_ = ["lpv-tiny_stage1_10e_st_mj.py"]

model = dict(decoder=dict(with_mask=True))
stage1_weights = "work_dirs/lpv-tiny_stage1_10e_st_mj/iter_413940.pth"
custom_hooks = [dict(type="InitialWeightsHook", source=stage1_weights)]
