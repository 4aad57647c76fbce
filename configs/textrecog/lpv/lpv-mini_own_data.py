# The bundled LPV-Mini, trained further on your own words; also suitable for a CPU.
_base_ = ["lpv-tiny_own_data.py", "_base_mini.py"]

model = _base_.mini_model
max_iters = 4000
param_scheduler = [
    dict(type="OneCycleLR", by_epoch=False, eta_max=3e-4, total_steps=max_iters, pct_start=0.1)
]
train_cfg = dict(max_iters=max_iters)
custom_hooks = [dict(type="InitialWeightsHook", source="lpv-mini")]
