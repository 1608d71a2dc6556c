"""Define the plugin's hooks under the names of their entry points, so Kedro registers each once.

An installed project gets them by entry points. Code that is not installed, such as the steps on a
cluster, lists them in its settings: `HOOKS = (*kedro_cloud.hooks.HOOKS, …)`.
"""

from typing import TypeVar

from kedro_cloud.blobs.storage import StorageHooks, register
from kedro_cloud.core.startup import StartHooks
from kedro_cloud.jobs.hooks import StepHooks, ValidationHooks
from kedro_cloud.jobs.timing import StepReportHooks
from kedro_cloud.monitoring.hooks import TelemetryHooks

Hooks = TypeVar("Hooks")

register()


def _set_name(name: str, hooks: Hooks) -> Hooks:
    """Set the name under which pluggy registers the entry point."""
    hooks.__name__ = name  # type: ignore[attr-defined]
    return hooks


storage = _set_name("kedro_cloud_storage", StorageHooks())
steps = _set_name("kedro_cloud_steps", StepHooks())
validation = _set_name("kedro_cloud_validation", ValidationHooks())
step_report = _set_name("kedro_cloud_step_report", StepReportHooks())
start = _set_name("kedro_cloud_start", StartHooks())
telemetry = _set_name("kedro_cloud_telemetry", TelemetryHooks())

HOOKS = (storage, steps, validation, step_report, start, telemetry)
