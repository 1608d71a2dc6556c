"""Run an Azure ML job on this machine, step by step, as the service would.

In: a `Job` (kedro_cloud.jobs.job), a folder of code and a `RehearsalDir`. Out: a folder per step in
that directory, MLflow runs, and a `RehearsalResult` with the time and memory of each step.
`rehearse` starts no storage: `cloud` does, `table` shows the progress, and
`kedro_cloud.cli.rehearse` combines them as `kedro cloud rehearse`.
"""

from kedro_cloud.jobs.progress import StepState
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.records import StepRecord
from kedro_cloud.rehearsal.rehearsing import Observer, RehearsalResult, rehearse

__all__ = [
    "Observer",
    "RehearsalDir",
    "RehearsalResult",
    "StepRecord",
    "StepState",
    "rehearse",
]
