"""Send spans and metrics to Application Insights with OpenTelemetry.

Imported only where telemetry is on, as importing OpenTelemetry and Azure's exporter takes most of
a second. Items contain names in the code (pipeline, step, node, exception class), the job, and
numbers. The interface accepts no messages, so nothing needs to be filtered.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

_SWITCHED_OFF = {
    # Statistics that the exporter sends to Microsoft about itself and this machine.
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}
os.environ.update(_SWITCHED_OFF)  # read when the exporter is imported and created

from azure.core.pipeline import PipelineResponse  # noqa: E402
from azure.monitor.opentelemetry.exporter import (  # noqa: E402
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from kedro.framework import project  # noqa: E402
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import Span, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator  # noqa: E402
from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: E402
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: E402

from kedro_cloud import compat  # noqa: E402
from kedro_cloud.core import identity  # noqa: E402
from kedro_cloud.core.variables import AUTHENTICATION_STRING, JOB  # noqa: E402

# Otherwise the exporter adds the machine's name and locale to every item, and the service looks up
# the city of the sender's IP address.
_tags = compat.telemetry_tags()
for _tag in ("ai.device.id", "ai.device.locale"):
    _tags.pop(_tag, None)
_tags["ai.location.ip"] = "0.0.0.0"

_REQUEST_S = 4.0
"""Timeout of a request, below that of `flush`, which then reports the reason."""
_MIN_ERROR_STATUS = 400

Value = str | int | float


class Telemetry:
    """Send the telemetry of one process.

    Only `flush` waits for the network, for a limited time. Items that are not sent when the
    process ends are lost.
    """

    def __init__(self, connection_string: str, flush_s: float = 5.0) -> None:
        """Prepare the exporters; nothing is sent yet.

        Args:
            connection_string: Connection string of Application Insights.
            flush_s: Maximum time that `flush` waits, in seconds.

        Raises:
            ValueError: The connection string is invalid.
        """
        _WARNINGS.first = ""
        self._flush_s = flush_s
        self._rejection = ""
        self._job = os.environ.get(JOB, "")
        options: dict[str, Any] = {
            "connection_string": connection_string,
            "credential": _credential(),
            "disable_offline_storage": True,  # a step's disk is temporary
            "raw_response_hook": self._store_rejection,
            "retry_total": 1,
            "retry_backoff_factor": 0.5,
            "timeout": _REQUEST_S,
            "read_timeout": _REQUEST_S,
            "logging_enable": False,
        }
        role = project.PACKAGE_NAME or "kedro"
        resource = Resource({"service.name": role, "service.instance.id": self._job or "local"})
        self._traces = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            id_generator=_JobIds(self._job) if self._job else None,
            shutdown_on_exit=False,
        )
        self._traces.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(**options)))
        # Without an interval: metrics are recorded at the end of a run, and sent by `flush` once.
        reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options), math.inf)
        self._metrics = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer(__name__)

    def begin(self, name: str, properties: Mapping[str, Value], run: Span | None = None) -> Span:
        """Open the span of a run, or of a node of `run`.

        They become a request and its dependencies in Application Insights.
        """
        span = self._tracer.start_span(
            name,
            set_span_in_context(run) if run else None,
            SpanKind.INTERNAL if run else SpanKind.SERVER,
            attributes=self._with_job(properties),
            start_time=time.time_ns(),
        )
        assert isinstance(span, Span)
        return span

    def end(self, span: Span, failed: bool = False, at_ns: int | None = None) -> None:
        """Close a span and record its duration and status.

        Args:
            span: Span to close.
            failed: Whether the run or node failed.
            at_ns: End time in nanoseconds since 1970; by default now.
        """
        ended = at_ns or time.time_ns()
        span.set_attribute("seconds", round((ended - (span.start_time or ended)) / 1e9, 3))
        span.set_status(Status(StatusCode.ERROR if failed else StatusCode.OK))
        span.end(ended)

    def gauge(self, name: str, value: float, properties: Mapping[str, Value]) -> None:
        """Record a metric for the next flush."""
        gauge = self._metrics.get_meter(__name__).create_gauge(name)
        gauge.set(value, self._with_job(properties))

    def flush(self) -> str:
        """Send the remaining items.

        Returns:
            Reason of a failure; empty if all items were sent.
        """
        in_time = _run_within(self._flush_s, self._traces.force_flush, self._metrics.force_flush)
        too_slow = "" if in_time else f"not sent within {self._flush_s:g} s"
        return self._rejection or _WARNINGS.first or too_slow

    def _with_job(self, properties: Mapping[str, Value]) -> dict[str, Value]:
        return {**properties, "job": self._job} if self._job else dict(properties)

    def _store_rejection(self, response: PipelineResponse[Any, Any]) -> None:
        """Store the status of a rejected request, as the exporter logs only some of them."""
        code = response.http_response.status_code
        failed = code >= _MIN_ERROR_STATUS
        self._rejection = f"Application Insights responded with status {code}" if failed else ""


class _FirstWarning(logging.Handler):
    """Keep the first warning of the exporter, for one line at the end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        if "._generated." in record.name:
            return  # a warning on the content of the same response follows
        self.first = self.first or " ".join(record.getMessage().split())


_WARNINGS = _FirstWarning()
for _name in ("azure.monitor.opentelemetry", "opentelemetry"):
    logging.getLogger(_name).addHandler(_WARNINGS)
    logging.getLogger(_name).propagate = False


class _JobIds(IdGenerator):
    """Give all steps of a job the same trace ID, so that they share one timeline."""

    def __init__(self, job: str) -> None:
        self._trace = int(hashlib.sha256(job.encode()).hexdigest()[:32], 16)
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._trace


def _credential() -> Any:
    """Return the process's identity if Application Insights requires one, else None."""
    authentication = os.environ.get(AUTHENTICATION_STRING, "").replace(" ", "").lower()
    return identity.credential() if "authorization=aad" in authentication else None


def _run_within(seconds: float, *tasks: Callable[[], Any]) -> bool:
    """Run tasks concurrently in the background; return whether all ended within the time."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
