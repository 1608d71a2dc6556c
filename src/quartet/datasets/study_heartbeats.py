"""Heartbeats of trials on other machines, which Optuna's gRPC proxy does not support."""

from __future__ import annotations

from typing import Any

from optuna.storages import GrpcStorageProxy, RDBStorage

from quartet.compat import BaseHeartbeat

HEARTBEAT_SECONDS = 30
"""Interval of heartbeats, each of which is a write to the database."""
_ATTRIBUTE = "heartbeat"


class HeartbeatProxy(GrpcStorageProxy, BaseHeartbeat):
    """A proxy that sends heartbeats as user attributes to a `HeartbeatStorage`."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Send a heartbeat of a trial."""
        self.set_trial_user_attr(trial_id, _ATTRIBUTE, None)

    def get_heartbeat_interval(self) -> int:
        """Return the heartbeat interval in seconds."""
        return HEARTBEAT_SECONDS

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return []  # only the process with the database looks for stale trials

    def get_heartbeat_stale_trial_callback(self) -> None:
        """Return None: only the process with the database looks for stale trials."""


class HeartbeatStorage(RDBStorage):
    """A database that records the heartbeats of `HeartbeatProxy`."""

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set the attribute, or record a heartbeat."""
        if key == _ATTRIBUTE:
            self.record_heartbeat(trial_id)
        else:
            super().set_trial_user_attr(trial_id, key, value)
