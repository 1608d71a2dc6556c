"""management.azure.com: Azure Resource Manager with one subscription and one workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from control_plane import runs, signin
from control_plane.admission import Admission
from control_plane.blobs import Blobs
from control_plane.documents import (
    ACCOUNT,
    GROUP,
    GROUP_ID,
    STORAGE_ID,
    SUBSCRIPTION,
    WORKSPACE_ID,
    blob_store,
    cluster,
    completed,
    places_to_look,
    workspace,
)
from control_plane.messages import Answer, Request
from control_plane.resources import Document, Resources, type_of

HOST = "management.azure.com"
_VERBS = {"GET": "read", "PUT": "write", "DELETE": "delete", "POST": "action"}


@dataclass
class ResourceManager:
    """Stores and lists resources, and provides containers for uploads."""

    resources: Resources
    sign_in: signin.SignIn
    blobs: Blobs
    runs: runs.Runs
    denied: set[str] = field(default_factory=set)
    """Actions for which the client has no role, such as `jobs/write`."""

    def __post_init__(self) -> None:
        self.admission = Admission(self.resources)
        self.resources.put(f"/subscriptions/{SUBSCRIPTION}", {})
        self.resources.put(GROUP_ID, {"location": "westeurope"})
        self.resources.put(STORAGE_ID, {"location": "westeurope"})
        self.resources.put(WORKSPACE_ID, workspace())
        self.blobs.keep_container("azureml-blobstore")
        self.add("datastores/workspaceblobstore", blob_store("azureml-blobstore"))

    def add(self, path: str, properties: Document) -> Document:
        """Add a resource to the workspace: `add("computes/cpu-cluster", {...})`."""
        return self._keep(f"{WORKSPACE_ID}/{path}", {"properties": properties})[0]

    def find(self, path: str) -> Document | None:
        """Return a resource of the workspace, or None: `find("computes/cpu-cluster")`."""
        return self.resources.get(f"{WORKSPACE_ID}/{path}")

    def list(self, collection: str) -> list[Document]:
        """Return the resources of a collection, oldest first: `list("jobs")`."""
        return self.resources.members(f"{WORKSPACE_ID}/{collection}")

    def add_cluster(self, name: str, nodes: int = 4) -> None:
        """Add a cluster that scales from zero."""
        self.add(f"computes/{name}", cluster(nodes))

    def __call__(self, request: Request) -> Answer:
        if not self.sign_in.knows(request):
            text = "The access token is missing or invalid."
            return Answer.error(401, "InvalidAuthenticationToken", text)
        path = request.path.rstrip("/")
        refusal = self._refusal(path, request.method) or self._missing_above(path)
        if refusal:
            return refusal
        if request.method == "POST":
            return self._act(path)
        answer = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "DELETE": self._delete,
        }[request.method]
        return answer(path, request)

    def _refusal(self, path: str, method: str) -> Answer | None:
        kind = type_of(path)
        action = f"{kind}/{_VERBS[method]}"
        if action.partition("/workspaces/")[2] not in self.denied:
            return None
        return Answer.error(
            403,
            "AuthorizationFailed",
            f"The client '{signin.CLIENT}' with object id '{signin.CLIENT}' does not have "
            f"authorization to perform action '{action}' over scope '{path}' or the scope is "
            "invalid. If access was recently granted, please refresh your credentials.",
        )

    def _missing_above(self, path: str) -> Answer | None:
        """Return the error for a missing subscription, group or workspace."""
        found = re.match(
            r"(?P<id>/subscriptions/(?P<subscription>[^/]+))"
            r"(?P<group_part>/resourceGroups/(?P<group>[^/]+))?"
            r"(?P<workspace_part>/providers/Microsoft\.MachineLearningServices/workspaces/"
            r"(?P<workspace>[^/]+))?",
            path,
            re.IGNORECASE,
        )
        if found is None:
            return Answer.error(404, "InvalidResource", f"nothing is at {path}")
        subscription, group, workspace = found["subscription"], found["group"], found["workspace"]
        if not self.resources.get(found["id"]):
            text = f"The subscription '{subscription}' could not be found."
            return Answer.error(404, "SubscriptionNotFound", text)
        if group and not self.resources.get(found["id"] + found["group_part"]):
            text = f"Resource group '{group}' could not be found."
            return Answer.error(404, "ResourceGroupNotFound", text)
        is_workspace = path.lower() == found[0].lower()
        if workspace and not is_workspace and not self.resources.get(found[0]):
            return _not_found(found[0])
        return None

    def _get(self, path: str, request: Request) -> Answer:
        if of_region := self.admission.of_region(path):
            return of_region
        document = self.resources.get(path)
        if document is not None:
            return Answer.of(self._with_status(document))
        tail = path.rpartition("/providers/")[2].split("/")
        if len(tail) % 2 == 1:
            return _not_found(path)
        if "hash" in request.query:
            return Answer.of({"value": self._find_by_hash(path, request.query["hash"])})
        found = [self._with_status(member) for member in self.resources.members(path)]
        latest_first = type_of(path).endswith("/workspaces/jobs")
        if latest_first or request.query.get("$orderby", "").endswith("desc"):
            found.reverse()
        if "$top" in request.query:
            found = found[: int(request.query["$top"])]
        return Answer.of({"value": found})

    def _find_by_hash(self, path: str, content: str) -> list[Document]:
        """Return the versions with a hash, which a client requests before it uploads code."""
        kinds = path.rpartition("/versions")[0].rpartition("/")[0]
        versions = (
            version
            for container in self.resources.members(kinds)
            for version in self.resources.members(f"{container['id']}/versions")
        )
        return [version for version in versions if _hash(version) == content]

    def _with_status(self, document: Document) -> Document:
        """Return the document; that of a job with the state of its run."""
        if not document["type"].endswith("/workspaces/jobs"):
            return document
        status = self.runs.stage(document["name"]).status
        return {**document, "properties": {**document["properties"], "status": status}}

    def _put(self, path: str, request: Request) -> Answer:
        body = request.document
        kind = type_of(path).rpartition("/")[2]
        for reference in _references(body):
            if self.resources.get(reference) is None:
                return Answer.error(400, "UserError", f"{reference} was not found")
        if refusal := self.admission.refusal(path, body):
            return refusal
        if kind == "jobs":
            body["properties"]["status"] = "Preparing"
            body["properties"]["services"] = places_to_look(path)
        document, new = self._keep(path, body)
        return Answer.of(document, 201 if new else 200)

    def _keep(self, path: str, body: Document) -> tuple[Document, bool]:
        """Store a resource, and the container of a version."""
        container, versions, version = path.rpartition("/versions/")
        if versions:
            self.resources.put(container, {"properties": {"latestVersion": version}})
        return self.resources.put(path, completed(path, body))

    def _delete(self, path: str, request: Request) -> Answer:
        return Answer(200 if self.resources.delete(path) else 204)

    def _act(self, path: str) -> Answer:
        """Return a container for an upload, the only action that clients request."""
        assert path.lower().endswith("/startpendingupload"), path
        address, signed = self.blobs.make_container(ACCOUNT)
        reference = {
            "blobUri": address,
            "storageAccountArmId": STORAGE_ID,
            "credential": {"credentialType": "SAS", "sasUri": signed},
        }
        return Answer.of(
            {
                "blobReferenceForConsumption": reference,
                "pendingUploadId": str(uuid4()),
                "pendingUploadType": "TemporaryBlobReference",
            }
        )


def _references(body: Any) -> Iterator[str]:
    """Yield the IDs of resources in the workspace to which a document refers."""
    if isinstance(body, dict | list):
        for value in body.values() if isinstance(body, dict) else body:
            yield from _references(value)
    elif isinstance(body, str) and body.removeprefix("azureml:").startswith(f"{WORKSPACE_ID}/"):
        yield body.removeprefix("azureml:")


def _hash(version: Document) -> str | None:
    return version["properties"].get("properties", {}).get("hash_sha256")


def _not_found(identifier: str) -> Answer:
    kind, name = type_of(identifier), identifier.rpartition("/")[2]
    return Answer.error(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{GROUP}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )
