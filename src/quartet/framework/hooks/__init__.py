"""What happens around every run: checks before, tracking and a log during it, a summary after."""

from quartet.framework.hooks.distributed import DistributedHooks
from quartet.framework.hooks.node_log import ErrorContextHooks, LogHooks
from quartet.framework.hooks.preflight import PreflightHooks
from quartet.framework.hooks.summary import SummaryHooks
from quartet.framework.hooks.tracking import TrackingHooks, TurnHooks

__all__ = [
    "DistributedHooks",
    "ErrorContextHooks",
    "LogHooks",
    "PreflightHooks",
    "SummaryHooks",
    "TrackingHooks",
    "TurnHooks",
]
