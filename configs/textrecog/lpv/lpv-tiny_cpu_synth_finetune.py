# lpv-tiny_cpu_synth.py continued on rendered and real words, half of every batch each; the mask is
# on.
_base_ = ["lpv-tiny_synth_finetune.py", "_base_tiny_cpu.py"]

train_dataloader = dict(
    dataset=dict(
        batch_size=_base_.cpu_batch_size,
        sources=[
            dict(_base_.rendered_words, **_base_.cpu_pool),
            _base_.train_dataloader.dataset.sources[1],
        ],
    )
)
custom_hooks = [
    dict(type="TimeBudgetHook", minutes=16, peak_lr=3e-4, mask_from=0.0),
    # The average looks back 100 of about 600 iterations.
    *_base_.custom_hooks[1:3],
    dict(type="InitialWeightsHook", source="work_dirs/lpv-tiny_cpu_synth/LAST_CHECKPOINT.pth"),
]
default_hooks = _base_.cpu_hooks
