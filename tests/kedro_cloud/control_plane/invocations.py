"""*.westeurope.inference.ml.azure.com: requests to endpoints; batch endpoints create jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from control_plane import scoring, signin
from control_plane.documents import WORKSPACE_ID, places_to_look
from control_plane.messages import Answer, Request
from control_plane.resources import Document, Resources

HOSTS = "*.westeurope.inference.ml.azure.com"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
}


@dataclass
class Invocations:
    """Creates jobs for requests to batch endpoints."""

    resources: Resources
    sign_in: signin.SignIn
    scoring: scoring.Scoring = field(init=False)

    def __post_init__(self) -> None:
        self.scoring = scoring.Scoring(self.resources)

    def __call__(self, request: Request) -> Answer:
        """Return the created job, or the error."""
        if not self.sign_in.knows(request):
            return Answer.error(401, "Unauthorized", "The token is missing or invalid.")
        name = request.host.partition(".")[0]
        online = self.resources.get(f"{WORKSPACE_ID}/onlineEndpoints/{name}")
        if online is not None and request.path == scoring.PATH:
            return self.scoring(request, online)
        endpoint = self.resources.get(f"{WORKSPACE_ID}/batchEndpoints/{name}")
        if endpoint is None or request.path != "/jobs":
            return Answer.error(404, "NotFound", f"no endpoint '{name}'")
        asked = request.headers.get("azureml-model-deployment")
        chosen = asked or (endpoint["properties"].get("defaults") or {}).get("deploymentName")
        deployment = self.resources.get(f"{endpoint['id']}/deployments/{chosen}")
        if deployment is None:
            return Answer.error(400, "UserError", f"endpoint '{name}' has no deployment '{chosen}'")
        component = deployment["properties"]["deploymentConfiguration"]["componentId"]["assetId"]
        kept = self.resources.get(component.removeprefix("azureml:"))
        assert kept is not None
        given = _given(request.document)
        try:
            inputs = _inputs(kept["properties"]["componentSpec"].get("inputs") or {}, given)
        except ValueError as error:
            return Answer.error(400, "UserError", str(error))
        job = str(_properties(request.document).get("name") or f"batchjob-{uuid4()}")
        return self._job(job, name, kept["id"], inputs)

    def _job(self, name: str, endpoint: str, component: str, inputs: dict[str, Any]) -> Answer:
        path = f"{WORKSPACE_ID}/jobs/{name}"
        if self.resources.get(path) is not None:
            return Answer.error(409, "UserError", f"there is a job '{name}' already")
        literals = {
            key: {"jobInputType": "literal", "value": str(it)} for key, it in inputs.items()
        }
        properties = {
            "jobType": "Pipeline",
            "experimentName": endpoint,
            "displayName": name,
            "componentId": component,
            "inputs": literals,
            "status": "Preparing",
            "services": places_to_look(path),
        }
        return Answer.of(self.resources.put(path, {"properties": properties})[0], 201)


def _properties(document: Document) -> dict[str, Any]:
    """Return the properties of a request by name in lower case."""
    return {name.lower(): found for name, found in document.get("properties", {}).items()}


def _given(document: Document) -> dict[str, Any]:
    """Return the literal values by input."""
    values = {}
    for name, found in (_properties(document).get("inputdata") or {}).items():
        fields = {key.lower(): value for key, value in found.items()}
        if str(fields.get("jobinputtype", "")).lower() == "literal":
            values[name] = fields.get("value")
    return values


def _inputs(declared: Document, given: dict[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(given) - set(declared)):
        raise ValueError(f"Unknown input '{unknown[0]}'.")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("default"))
        if value is None and not declaration.get("optional"):
            raise ValueError(f"Required input '{name}' is missing.")
        if name in given and not isinstance(value, _TYPES[declaration["type"]]):
            raise ValueError(f"Input '{name}' is not of type {declaration['type']}.")
        values[name] = value
    return values
