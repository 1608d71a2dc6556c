"""Sends spans and metrics to Application Insights by OpenTelemetry.

Imported only where telemetry is on: OpenTelemetry and Azure's exporter take most of a second.
Items carry names of the program (pipeline, step, node, exception class), the job, and numbers.
There is no way to send a text, so there is nothing to filter.
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
    # Reports of the exporter to its makers, on itself and on this machine.
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}
os.environ.update(_SWITCHED_OFF)  # read when the exporter is imported, and made

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
from kedro_cloud.core.variables import AUTHENTICATION, JOB  # noqa: E402

# The exporter would add the machine's name and locale to every item, and the service would look
# up the city of an address that is not given.
_tags = compat.telemetry_tags()
for _tag in ("ai.device.id", "ai.device.locale"):
    _tags.pop(_tag, None)
_tags["ai.location.ip"] = "0.0.0.0"

_REQUEST_S = 4.0
_REFUSALS = 400

Value = str | int | float


class Telemetry:
    """Sends what one process reports.

    Only `flush` waits for the network, and not for long. What is still on its way when the
    process ends is lost.
    """

    def __init__(self, connection_string: str, flush_s: float = 5.0) -> None:
        """Prepare the exporters; nothing is sent yet.

        Args:
            connection_string: Of Application Insights.
            flush_s: Seconds that `flush` waits at most.

        Raises:
            ValueError: The connection string is invalid.
        """
        _COMPLAINTS.first = ""
        self._flush_s = flush_s
        self._refusal = ""
        self._job = os.environ.get(JOB, "")
        options: dict[str, Any] = {
            "connection_string": connection_string,
            "credential": _credential(),
            "disable_offline_storage": True,  # a step's disk goes with it
            "raw_response_hook": self._note_refusal,
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
        # Metrics come at the end of a pipeline: they are sent when asked for, and once.
        reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options), math.inf)
        self._metrics = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer(__name__)

    def begin_run(self, name: str, properties: Mapping[str, Value]) -> Span:
        """Open the span of a run; it becomes a request of Application Insights."""
        return self._begin(name, SpanKind.SERVER, properties)

    def begin_node(self, name: str, properties: Mapping[str, Value], run: Span) -> Span:
        """Open the span of a node below that of its run; it becomes a dependency."""
        return self._begin(name, SpanKind.INTERNAL, properties, run)

    def end(self, span: Span, failed: bool = False, at_ns: int | None = None) -> None:
        """Close a span and record its duration and status.

        Args:
            span: To close.
            failed: Whether the run or node failed.
            at_ns: When it ended, in nanoseconds since 1970; now by default.
        """
        ended = at_ns or time.time_ns()
        span.set_attribute("seconds", round((ended - (span.start_time or ended)) / 1e9, 3))
        span.set_status(Status(StatusCode.ERROR if failed else StatusCode.OK))
        span.end(ended)

    def gauge(self, name: str, value: float, properties: Mapping[str, Value]) -> None:
        """Keep a metric for the next flush."""
        gauge = self._metrics.get_meter(__name__).create_gauge(name)
        gauge.set(value, self._with_job(properties))

    def flush(self) -> str:
        """Send what is left.

        Returns:
            Why it did not arrive; empty if it did.
        """
        in_time = _within(self._flush_s, self._traces.force_flush, self._metrics.force_flush)
        too_slow = "" if in_time else f"not sent within {self._flush_s:g} s"
        return self._refusal or _COMPLAINTS.first or too_slow

    def _begin(
        self, name: str, kind: SpanKind, properties: Mapping[str, Value], parent: Span | None = None
    ) -> Span:
        context = set_span_in_context(parent) if parent else None
        span = self._tracer.start_span(
            name, context, kind, attributes=self._with_job(properties), start_time=time.time_ns()
        )
        assert isinstance(span, Span)
        return span

    def _with_job(self, properties: Mapping[str, Value]) -> dict[str, Value]:
        return {**properties, **({"job": self._job} if self._job else {})}

    def _note_refusal(self, response: PipelineResponse[Any, Any]) -> None:
        """Keep the status of a refusal, as the exporter logs only some of them."""
        code = response.http_response.status_code
        self._refusal = f"Application Insights answers {code}" if code >= _REFUSALS else ""


class _Complaints(logging.Handler):
    """Keeps the first warning of the exporter, for one line at the end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        if "._generated." in record.name:  # of an answer's form, after which comes its content
            return
        self.first = self.first or " ".join(record.getMessage().split())


_COMPLAINTS = _Complaints()
for _name in ("azure.monitor.opentelemetry", "opentelemetry"):
    logging.getLogger(_name).addHandler(_COMPLAINTS)
    logging.getLogger(_name).propagate = False


class _JobIds(IdGenerator):
    """Gives all steps of a job the same trace, so that they share one time line."""

    def __init__(self, job: str) -> None:
        self._trace = int(hashlib.sha256(job.encode()).hexdigest()[:32], 16)
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._trace


def _credential() -> Any:
    """Return the process's identity where Application Insights asks for one, else None."""
    authentication = os.environ.get(AUTHENTICATION, "").replace(" ", "").lower()
    return identity.credential() if "authorization=aad" in authentication else None


def _within(seconds: float, *tasks: Callable[[], Any]) -> bool:
    """Run tasks side by side in the background; return whether all ended within the seconds."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
