"""The registry of codes with which a job of any kind may end as failed, each with its row in docs/api.md."""

TIMEOUT = "timeout"
POISON = "poison"
OUT_OF_MEMORY = "out_of_memory"
MODEL_UNAVAILABLE = "model_unavailable"
DATA_LOST = "data_lost"
MACHINE_UNAVAILABLE = "machine_unavailable"
INTERNAL = "internal"

FAILURE_CODES: dict[str, str] = {
    TIMEOUT: "it took longer than `GLIOSCOPE_JOB_TIMEOUT_S`",
    POISON: "it stopped its worker as often as `GLIOSCOPE_MAX_ATTEMPTS` says, and is not tried again",
    OUT_OF_MEMORY: "also slice by slice it needs more memory than there is",
    MODEL_UNAVAILABLE: "the model's package cannot be loaded",
    DATA_LOST: "what was stored of it is missing or damaged, also after `GLIOSCOPE_MAX_ATTEMPTS` tries",
    MACHINE_UNAVAILABLE: "for a day of tries the machine had no room, no storage or no process for it",
    INTERNAL: "a fault of the software; the log has it under the run's id",
}
