"""Sends spans, metrics and texts to Application Insights by OpenTelemetry, and never waits long.

Imported only where telemetry is on: OpenTelemetry and Azure's exporter take most of a second.
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
    # What the exporter would tell its makers, of itself and of this machine.
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}
os.environ.update(_SWITCHED_OFF)  # read when the exporter is imported, and made

from azure.monitor.opentelemetry.exporter import (  # noqa: E402
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry._logs import SeverityNumber  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: E402
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import Span, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator  # noqa: E402
from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: E402
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: E402

from quartet import identity  # noqa: E402
from quartet.azure.monitoring.gate import Gate  # noqa: E402
from quartet.azure.monitoring.hooks import AUTHENTICATION  # noqa: E402
from quartet.datasets.lineage import JOB  # noqa: E402

_ROLE = "quartet"
_OWN = ("azure", "opentelemetry", "urllib3", "requests", "msal")
"""Loggers of what sends: to send what they say would make them say more."""
_REQUEST_S = 4.0

Value = str | int | float


class Telemetry:
    """One process's way to Application Insights.

    Nothing is sent while the caller waits, but in `flush`, and there not for long. What is on its
    way when the process ends is lost.
    """

    def __init__(self, connection_string: str, flush_s: float = 5.0) -> None:
        """Make ready; nothing is sent yet.

        Args:
            connection_string: As Application Insights gives it.
            flush_s: The most seconds that `flush` waits.

        Raises:
            ValueError: The connection string is none.
        """
        _COMPLAINTS.first = ""
        self._flush_s = flush_s
        self._gate = Gate()
        self._job = os.environ.get(JOB, "")
        options: dict[str, Any] = {
            "connection_string": connection_string,
            "credential": _credential(),
            "disable_offline_storage": True,  # a step's disk goes with it
            "custom_hook_policy": self._gate,
            "retry_total": 1,
            "retry_backoff_factor": 0.5,
            "timeout": _REQUEST_S,
            "read_timeout": _REQUEST_S,
            "logging_enable": False,
        }
        resource = Resource({"service.name": _ROLE, "service.instance.id": self._job or "local"})
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
        self._texts = LoggerProvider(resource, shutdown_on_exit=False)
        self._texts.add_log_record_processor(
            BatchLogRecordProcessor(AzureMonitorLogExporter(**options))
        )
        self._tracer = self._traces.get_tracer(_ROLE)

    def begin_run(self, name: str, told: Mapping[str, Value]) -> Span:
        """Open the span of a run; it becomes a request of Application Insights."""
        return self._begin(name, SpanKind.SERVER, told, None, time.time_ns())

    def begin_node(self, name: str, told: Mapping[str, Value], run: Span) -> Span:
        """Open the span of a node below that of its run; it becomes a dependency."""
        return self._begin(name, SpanKind.INTERNAL, told, run, time.time_ns())

    def end(self, span: Span, failed: bool = False, at_ns: int | None = None) -> None:
        """Close a span, and say how many seconds it took.

        Args:
            span: To close.
            failed: Whether what it stands for did.
            at_ns: When, in nanoseconds since 1970; now, if not said.
        """
        ended = at_ns or time.time_ns()
        span.set_attribute("seconds", round((ended - (span.start_time or ended)) / 1e9, 3))
        span.set_status(Status(StatusCode.ERROR if failed else StatusCode.OK))
        span.end(ended)

    def gauge(self, name: str, value: float, told: Mapping[str, Value]) -> None:
        """Keep a metric for the next flush."""
        gauge = self._metrics.get_meter(_ROLE).create_gauge(name)
        gauge.set(value, self._with_job(told))

    def text(self, level: int, text: str, told: Mapping[str, Value], span: Span | None) -> None:
        """Send what a log line or an error says.

        Args:
            level: Of Python's logging.
            text: Without any value in it.
            told: Further properties.
            span: What it happened in.
        """
        severity = SeverityNumber.ERROR if level >= logging.ERROR else SeverityNumber.WARN
        self._texts.get_logger(_ROLE).emit(
            timestamp=time.time_ns(),
            severity_number=severity,
            severity_text=severity.name,
            body=text or "(a text that does not stand in the program)",
            attributes=self._with_job(told),
            context=set_span_in_context(span) if span else None,
        )

    def flush(self) -> str:
        """Send what is left; why it has not arrived, or nothing if it has."""
        in_time = _within(
            self._flush_s,
            self._traces.force_flush,
            self._metrics.force_flush,
            self._texts.force_flush,
        )
        too_slow = "" if in_time else f"not sent within {self._flush_s:g} s"
        return self._gate.refusal or _COMPLAINTS.first or too_slow

    def _begin(
        self, name: str, kind: SpanKind, told: Mapping[str, Value], above: Span | None, at_ns: int
    ) -> Span:
        context = set_span_in_context(above) if above else None
        span = self._tracer.start_span(
            name, context, kind, attributes=self._with_job(told), start_time=at_ns
        )
        assert isinstance(span, Span)
        return span

    def _with_job(self, told: Mapping[str, Value]) -> dict[str, Value]:
        return {**told, **({"job": self._job} if self._job else {})}


class _Complaints(logging.Handler):
    """Keeps the first thing that the exporter has to complain of, for one line at the end."""

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


def is_of_sending(logger: str) -> bool:
    """Whether a logger belongs to what sends telemetry."""
    return logger.partition(".")[0] in _OWN


class _JobIds(IdGenerator):
    """Gives all steps of a job the same trace, so that they stand on one time line."""

    def __init__(self, job: str) -> None:
        self._trace = int(hashlib.sha256(job.encode()).hexdigest()[:32], 16)
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._trace


def _credential() -> Any:
    """Who enters where Application Insights wants to know; None where it does not."""
    told = os.environ.get(AUTHENTICATION, "").replace(" ", "").lower()
    if "authorization=aad" not in told:
        return None
    return identity.credential()


def _within(seconds: float, *tasks: Callable[[], Any]) -> bool:
    """Do all at the same time in the background; whether all were done in so many seconds."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
