# Everything is counted in iterations: an epoch of MJSynth + SynthText is too long to wait for.
default_scope = "mmocr"
custom_imports = dict(imports=["lpv_mmocr"], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
randomness = dict(seed=2022)

default_hooks = dict(
    runtime_info=dict(type="DeferredRuntimeInfoHook"),
    timer=dict(type="ThroughputTimerHook"),
    logger=dict(type="LoggerHook", interval=100),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="AtomicCheckpointHook",
        interval=5000,
        max_keep_ckpts=2,
        # On validation words, which are held out from training; never on a benchmark.
        save_best="recog/accuracy",
        rule="greater",
    ),
    # All processes validate the same model, and its score is that of the saved checkpoint.
    sync_buffer=dict(type="SyncBuffersHook"),
    stop_on_signal=dict(type="StopOnSignalHook"),
    non_finite_guard=dict(type="NonFiniteGuardHook", action="stop"),
    benchmark_report=dict(type="BenchmarkReportHook"),
)
log_level = "INFO"
log_processor = dict(
    type="LogProcessor",
    window_size=100,
    by_epoch=False,
    mean_pattern=r".*(loss|ce_stage|time|data_time|grad_norm).*",
)

load_from = None
resume = False

val_evaluator = dict(type="Evaluator", metrics=[dict(type="BenchmarkMetric")])
test_evaluator = val_evaluator

# MMOCR's visualizer, except for words whose attention the decoder keeps (docs/attention.md). The
# runner names it after the run: with a fixed name, as in MMOCR's configs, a second run in a process
# would reuse the first one's visualizer, and write its curves into the folder of the first run.
visualizer = dict(
    type="AttentionTextRecogVisualizer",
    vis_backends=[dict(type="LocalVisBackend")],
)
