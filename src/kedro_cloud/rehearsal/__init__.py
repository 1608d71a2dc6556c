"""A rehearsal runs an Azure ML job on this machine, step by step, as the service would.

In come a `Job` (kedro_cloud.jobs.job), a folder of code and a `Place`; out come the steps' folders
in that place, MLflow runs, and a `Report` of what each step cost. `rehearse` knows no command line
and starts no storage: `cloud` does that, `table` shows how it goes, and `kedro_cloud.cli.rehearse`
puts them together as `kedro cloud rehearse`.
"""

from kedro_cloud.jobs.progress import StepState
from kedro_cloud.rehearsal.place import Place
from kedro_cloud.rehearsal.records import StepRecord
from kedro_cloud.rehearsal.rehearsing import Observer, RehearsalSettings, Report, rehearse

__all__ = [
    "Observer",
    "Place",
    "RehearsalSettings",
    "Report",
    "StepRecord",
    "StepState",
    "rehearse",
]
