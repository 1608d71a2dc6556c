"""How one starts a published pipeline: from a terminal, from a program, by Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kedro_cloud.core.cloud_settings import Endpoint

_AUDIENCE = "https://ml.azure.com"
"""Of the token that an endpoint takes."""


def how_to_invoke(name: str, address: str, endpoint: Endpoint) -> Iterator[str]:
    """Lines that start a pipeline in three ways, with examples for values.

    Args:
        name: Of the endpoint.
        address: That it is called at.
        endpoint: Of cloud.yml.
    """
    values = {name: _example(said.type, said.default) for name, said in endpoint.inputs.items()}
    yield "start it with the Azure CLI:"
    if values:
        yield "  inputs.yml:"
        yield "    inputs:"
        for key, value in values.items():
            yield f"      {key}: {{type: {endpoint.inputs[key].type}, default: {_plain(value)}}}"
    file = " --file inputs.yml" if values else ""
    yield f"  az ml batch-endpoint invoke --name {name}{file}"
    yield f"with any program that has a token for {_AUDIENCE}:"
    yield f"  POST {address}"
    yield f"  {_plain(body(values))}"
    yield "with Python:"
    said = ", ".join(
        f'"{key}": Input(type="{endpoint.inputs[key].type}", default={value!r})'
        for key, value in values.items()
    )
    yield f'  client.batch_endpoints.invoke("{name}", inputs={{{said}}})'


def body(values: dict[str, Any]) -> dict[str, Any]:
    """What is sent to an endpoint's address to start its pipeline."""
    said = {name: {"jobInputType": "Literal", "value": value} for name, value in values.items()}
    return {"properties": {"inputData": said}}


def _example(kind: str, default: Any) -> Any:
    if default is not None:
        return default
    return {"string": "…", "number": 0.5, "integer": 1, "boolean": True}[kind]


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
