"""Settings of models and workers."""

from dataclasses import dataclass

from webapp.domain.settings.parsing import choice, seconds, setting, text, threads, whole


@dataclass(frozen=True)
class Workers:
    """Models and workers."""

    default_model: str = setting(
        "GLIOSCOPE_MODEL", "unet-cascade-lgg", text, "the model that is used where none is chosen"
    )
    engine: str = setting(
        "GLIOSCOPE_ENGINE",
        "auto",
        choice("auto", "torch", "openvino"),
        "`auto`, `openvino` or `torch`; `auto` is torch where there is a GPU and torch, else OpenVINO",
    )
    worker_threads: int | None = setting(
        "GLIOSCOPE_WORKER_THREADS", "0", threads, "threads of one prediction; 0 lets the engine choose"
    )
    worker_jobs: str = setting(
        "GLIOSCOPE_WORKER_JOBS",
        "all",
        choice("all", "interactive", "batch"),
        "`interactive`: a worker started by hand does uploads alone; `batch`: evaluations alone, at a lower priority of"
        " the processor; `all`: both, uploads first",
    )
    batch_worker: str = setting(
        "GLIOSCOPE_BATCH_WORKER",
        "off",
        choice("off", "on"),
        "`on`: `make run` starts a second worker, for evaluations alone, and the first does uploads alone; takes 0.5 to"
        " 0.9 GB more memory",
    )
    # A lease of three heartbeats survives two lost ones; a dead worker's job is back in the queue within 30 s.
    lease_s: float = setting(
        "GLIOSCOPE_LEASE_S", "15", seconds, "seconds for which a worker holds a job without a sign of life"
    )
    heartbeat_s: float = setting(
        "GLIOSCOPE_HEARTBEAT_S", "5", seconds, "seconds between two signs of life; at most half a lease"
    )
    sweep_s: float = setting(
        "GLIOSCOPE_SWEEP_S", "5", seconds, "seconds between two looks for jobs whose worker or message was lost"
    )
    max_attempts: int = setting(
        "GLIOSCOPE_MAX_ATTEMPTS",
        "3",
        whole(),
        "workers that a job may stop before it fails with the code `poison`",
    )
    # 512 slices at 60 ms are 31 s; ten times that is a hang and not a long job.
    job_timeout_s: float = setting(
        "GLIOSCOPE_JOB_TIMEOUT_S",
        "300",
        seconds,
        "seconds that a job may run before it fails with the code `timeout`; those for which the machine sleeps, or is"
        " off, do not count",
    )
