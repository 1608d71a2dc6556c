"""Telemetry without the extra azure must end no run."""

import logging
import sys

from kedro_cloud.core import extras
from kedro_cloud.core.variables import CONNECTION_STRING
from kedro_cloud.monitoring.hooks import TelemetryHooks


def test_telemetry_that_cannot_be_sent_is_reported_and_the_run_continues(monkeypatch, caplog):
    monkeypatch.setenv(CONNECTION_STRING, "InstrumentationKey=x")
    monkeypatch.delitem(sys.modules, "kedro_cloud.monitoring.telemetry", raising=False)
    for name in [*sys.modules]:
        if name.split(".")[:2] == ["azure", "monitor"]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "azure.monitor", None)
    hooks = TelemetryHooks()
    with caplog.at_level(logging.WARNING):
        hooks.before_pipeline_run({"pipeline_names": ["any"]})
        hooks.after_pipeline_run()
    (record,) = caplog.records
    reason = extras.format_missing("it", "azure")
    assert record.getMessage() == f"telemetry is switched off ({reason}); the run continues"
