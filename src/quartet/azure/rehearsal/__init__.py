"""A rehearsal runs an Azure ML job on this machine, step by step, as the service would.

In come a `Job` (quartet.azure.job), a folder of code and a `Place`; out come the steps' folders in
that place, MLflow runs, and a `Report` of what each step cost. `rehearse` knows no command line and
starts no storage: `cloud` does that, `table` shows how it goes, and
`quartet.azure.rehearse_command` puts them together as `kedro cloud rehearse`.
"""

from quartet.azure.progress import State
from quartet.azure.rehearsal.place import Place
from quartet.azure.rehearsal.records import StepRecord
from quartet.azure.rehearsal.rehearsing import Observer, RehearsalSettings, Report, rehearse

__all__ = ["Observer", "Place", "RehearsalSettings", "Report", "State", "StepRecord", "rehearse"]
