"""Show how to invoke an endpoint: with the Azure CLI or the REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kedro_cloud.core.cloud_settings import Endpoint

_AUDIENCE = "https://ml.azure.com"
"""Audience of the access token for an endpoint."""


def format_invocations(name: str, address: str, endpoint: Endpoint) -> Iterator[str]:
    """Yield the lines of two examples that invoke an endpoint by its name or its URL."""
    values = {key: _example(each.type, each.default) for key, each in endpoint.inputs.items()}
    yield "start it with the Azure CLI:"
    if values:
        yield "  inputs.yml:"
        yield "    inputs:"
        for key, value in values.items():
            yield f"      {key}: {{type: {endpoint.inputs[key].type}, default: {_to_json(value)}}}"
    file = " --file inputs.yml" if values else ""
    yield f"  az ml batch-endpoint invoke --name {name}{file}"
    yield f"with any program that has a token for {_AUDIENCE}:"
    yield f"  POST {address}"
    literals = {key: {"jobInputType": "Literal", "value": value} for key, value in values.items()}
    yield f"  {_to_json({'properties': {'inputData': literals}})}"


def _example(kind: str, default: Any) -> Any:
    if default is not None:
        return default
    return {"string": "…", "number": 0.5, "integer": 1, "boolean": True}[kind]


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
