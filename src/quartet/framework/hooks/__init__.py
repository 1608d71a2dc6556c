"""Hooks of every run: checks before it, tracking and a log during it, a summary after it."""

from quartet.framework.hooks.distributed import DistributedHooks
from quartet.framework.hooks.inputs import InputHooks
from quartet.framework.hooks.node_log import ErrorContextHooks, NodeLogHooks
from quartet.framework.hooks.preflight import PreflightHooks
from quartet.framework.hooks.summary import SummaryHooks
from quartet.framework.hooks.tracking import PasswordHooks, SetupLockHooks, TrackingHooks

__all__ = [
    "DistributedHooks",
    "ErrorContextHooks",
    "InputHooks",
    "NodeLogHooks",
    "PasswordHooks",
    "PreflightHooks",
    "SetupLockHooks",
    "SummaryHooks",
    "TrackingHooks",
]
