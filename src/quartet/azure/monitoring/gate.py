"""The last gate before the network: of what the exporter would send, only what is known passes.

It stands in the exporter's HTTP pipeline, so nothing goes round it: neither what OpenTelemetry
adds by itself, such as the machine's name, nor what a later version may think of. Kinds of items,
their fields and tags pass by name, values if they look like names of a program or are numbers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest

PROPERTIES = ("pipeline", "node", "step", "job", "seconds", "rows", "logger", "place", "error")
"""What an item may say of itself beside what its kind has."""
FIELDS: Mapping[str, tuple[str, ...]] = {
    "RequestData": ("ver", "id", "name", "duration", "success", "responseCode"),
    "RemoteDependencyData": ("ver", "id", "name", "duration", "success", "type", "resultCode"),
    "MetricData": ("ver", "metrics"),
    "MessageData": ("ver", "message", "severityLevel"),
}
"""By kind of item: its fields. Others, and other kinds, are left out."""
_TAGS = (
    "ai.cloud.role",
    "ai.cloud.roleInstance",
    "ai.operation.id",
    "ai.operation.name",
    "ai.operation.parentId",
    "ai.internal.sdkVersion",
)
_NOWHERE = {"ai.location.ip": "0.0.0.0"}  # else the service looks up the sender's city
_REFUSALS = 400
_LEFT_OUT = "(left out)"
_LONGEST = 200
_LONGEST_MESSAGE = 1_000
_NAME = re.compile(r"[\w .,:+<>()\[\]-]*")
_METRIC = re.compile(r"[A-Za-z]\w*(/[A-Za-z][\w.]*)?")
_SECRETS = (
    (r"\b[a-zA-Z][\w+.-]*://\S+", "(address)"),
    (r"\S*@\S+\.\S+", "(mail)"),
    (
        r"(?i)\b\w*(key|secret|token|password|passwd|pwd|signature|sig|uid|user|login|server|host)"
        r"\w*\s*[=:]\s*[^\s;,)]+",
        "(secret)",
    ),
    (
        r"(?is)\b(select|insert|update|delete|merge|create|alter|drop|exec|with)\b.*"
        r"\b(from|into|table|set|where|values|view|index|procedure)\b.*",
        "(query)",
    ),
    (r"(?:[A-Za-z]:)?\S*[\\/]\S*", "(path)"),
    (r"\b\d{1,3}(\.\d{1,3}){3}\b", "(host)"),
    (r"(?i)\b[0-9a-f]{0,4}(:[0-9a-f]{0,4}){3,7}\b", "(host)"),
    (r"\b(?=[\w+=-]*\d)[\w+=-]{16,}", "(code)"),
)


class Gate(SansIOHTTPPolicy[HttpRequest, Any]):
    """Replaces the body of each request by what may pass.

    Attributes:
        refusal: What the service said last, if it took nothing; the exporter keeps some of these
            to itself.
    """

    def __init__(self) -> None:
        self.refusal = ""

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        """Strip the request; what cannot be read is sent as nothing."""
        sent = request.http_request
        headers = {
            name: value for name, value in sent.headers.items() if name.lower() != "content-length"
        }
        body = passed(str(sent.content))
        request.http_request = HttpRequest(sent.method, sent.url, headers=headers, content=body)

    def on_response(
        self, request: PipelineRequest[HttpRequest], response: PipelineResponse[HttpRequest, Any]
    ) -> None:
        """Take note of a refusal."""
        code = response.http_response.status_code
        self.refusal = f"Application Insights answers {code}" if code >= _REFUSALS else ""


def passed(body: str) -> str:
    """A body of the exporter's less what may not leave, as JSON."""
    try:
        items = json.loads(body)
    except ValueError:
        return "[]"
    listed = items if isinstance(items, list) else []
    kept = (passed_item(item) for item in listed if isinstance(item, dict))
    return json.dumps([item for item in kept if item is not None])


def passed_item(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """An item less what may not leave; None if it is of no known kind."""
    data = item.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("baseData"), dict):
        return None
    kind, base = data.get("baseType"), data["baseData"]
    if not isinstance(kind, str) or kind not in FIELDS:
        return None
    fields = {name: _field(name, base[name]) for name in FIELDS[kind] if name in base}
    properties = _named(base.get("properties"), PROPERTIES)
    return {
        "name": f"Microsoft.ApplicationInsights.{kind.removesuffix('Data')}",
        "time": _value(item.get("time")),
        "iKey": _value(item.get("iKey")),
        "sampleRate": 100,
        "tags": {**_named(item.get("tags"), _TAGS), **_NOWHERE},
        "data": {"baseType": kind, "baseData": {**fields, "properties": properties}},
    }


def redacted(text: str) -> str:
    """A text of the program less what a text of a program should not hold anyway."""
    for pattern, replacement in _SECRETS:
        text = re.sub(pattern, replacement, text)
    return text[:_LONGEST_MESSAGE]


def _field(name: str, value: Any) -> Any:
    if name == "message":
        return redacted(value) if isinstance(value, str) else _LEFT_OUT
    if name == "metrics":
        points = value if isinstance(value, list) else []
        return [_point(point) for point in points if isinstance(point, dict)]
    return _value(value)


def _point(point: Mapping[str, Any]) -> dict[str, Any]:
    name = point.get("name")
    good = isinstance(name, str) and len(name) <= _LONGEST and _METRIC.fullmatch(name)
    return {
        "name": name if good else _LEFT_OUT,
        "value": _number(point.get("value")),
        "count": _number(point.get("count", 1)),
    }


def _named(values: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(values, dict):
        return {}
    return {name: _value(values[name]) for name in names if name in values}


def _number(value: Any) -> float | int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else 0


def _value(value: Any) -> Any:
    """A number, a truth value, or a name; nothing else is one."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str) and len(value) <= _LONGEST and _NAME.fullmatch(value):
        return value
    return _LEFT_OUT
