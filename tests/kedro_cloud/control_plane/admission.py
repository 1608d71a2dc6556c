"""Checks of the Azure ML service before it stores a resource, and the sizes of its region."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from control_plane import scoring
from control_plane.messages import Answer
from control_plane.resources import Document, Resources, type_of

_ENDPOINT_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")
QUOTA_PAGE = "https://docs.microsoft.com/azure/machine-learning/how-to-manage-quotas"


@dataclass(frozen=True)
class Size:
    """A VM size of the region, and the quota of cores of its family."""

    family: str
    cores: int
    quota: int = 100
    gpus: int = 0


def _sizes() -> dict[str, Size]:
    return {
        "Standard_D4s_v5": Size("standardDSv5Family", 4),
        "Standard_D2_v3": Size("standardDv3Family", 2),
        "Standard_NC6s_v3": Size("standardNCSv3Family", 6, gpus=1),
        "Standard_NC4as_T4_v3": Size("Standard NCASv3_T4 Family", 4, gpus=1),
    }


@dataclass
class Admission:
    """Rejects what the service would, with its messages."""

    resources: Resources
    sizes: dict[str, Size] = field(default_factory=_sizes)
    taken_elsewhere: set[str] = field(default_factory=set)
    """Names of endpoints of other workspaces in the region."""
    lost_identities: set[str] = field(default_factory=set)
    """Names of identities that do not exist."""

    def refusal(self, path: str, body: Document) -> Answer | None:
        """Return the error for a resource; None if it is valid."""
        kind = type_of(path).partition("/workspaces/")[2]
        check = {
            "batchEndpoints": self._endpoint,
            "batchEndpoints/deployments": self._deployment,
            "onlineEndpoints": self._online_endpoint,
            "computes": self._cluster,
        }.get(kind)
        if message := check(path, body.get("properties", {})) if check else "":
            return Answer.error(400, "UserError", message)
        return self._without_identity(body)

    def of_region(self, path: str) -> Answer | None:
        """Return the sizes or quotas of the region; None for other paths."""
        found = re.search(r"/locations/(\w+)/(vmSizes|usages)$", path)
        if found is None:
            return None
        value = [
            self._size(*item) if found[2] == "vmSizes" else self._usage(*item)
            for item in self.sizes.items()
        ]
        return Answer.of({"value": value})

    def _without_identity(self, body: Document) -> Answer | None:
        for identity in (body.get("identity") or {}).get("userAssignedIdentities") or {}:
            if identity.rpartition("/")[2] in self.lost_identities:
                text = f"Resource '{identity}' was not found."
                return Answer.error(400, "FailedIdentityOperation", text)
        return None

    def _endpoint(self, path: str, properties: Document) -> str:
        name = path.rpartition("/")[2]
        if name in self.taken_elsewhere:
            return (
                f"The specified endpoint name '{name}' is not available. Endpoint names must be "
                "unique within the region. Please choose a different name and try again."
            )
        if not _ENDPOINT_NAME.fullmatch(name):
            return f"Endpoint name '{name}' is invalid."
        default = (properties.get("defaults") or {}).get("deploymentName")
        if default and self.resources.get(f"{path}/deployments/{default}") is None:
            return f"Deployment '{default}' was not found under endpoint '{name}'."
        return ""

    def _online_endpoint(self, path: str, properties: Document) -> str:
        return self._endpoint(path, {}) or scoring.refusal(self.resources, path, properties)

    def _deployment(self, path: str, properties: Document) -> str:
        endpoint = path.partition("/deployments/")[0]
        if self.resources.get(endpoint) is None:
            return f"Endpoint '{endpoint.rpartition('/')[2]}' was not found."
        component = properties.get("deploymentConfiguration", {}).get("componentId", {})
        if not component.get("assetId"):
            return "A pipeline component deployment needs a component."
        return ""

    def _cluster(self, path: str, properties: Document) -> str:
        if properties.get("computeType") != "AmlCompute":
            return ""
        cluster = properties["properties"]
        sizes = {name.lower(): size for name, size in self.sizes.items()}
        size = sizes.get(cluster["vmSize"].lower())
        if size is None:
            return f"The requested VM size {cluster['vmSize']} is not available in the region."
        if size.quota < size.cores:
            return (
                f"The specified subscription has a {size.family} vCPU quota of {size.quota} and "
                "cannot accomodate for at least 1 requested managed compute nodes which maps to "
                f"{size.cores} vCPUs. Talk to your Subscription Admin or refer to {QUOTA_PAGE}"
                "#request-quota-increases to increase the family quota"
            )
        before = self.resources.get(path)
        if before and before["properties"]["properties"]["vmSize"] != cluster["vmSize"]:
            return "Changing the VM size of an existing compute is not supported."
        return ""

    def _size(self, name: str, size: Size) -> Document:
        return {
            "name": name,
            "family": size.family,
            "vCPUs": size.cores,
            "gpus": size.gpus,
            "lowPriorityCapable": True,
            "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
        }

    def _usage(self, name: str, size: Size) -> Document:
        name = f"{size.family} Cluster Dedicated vCPUs"
        return {
            "name": {"value": name, "localizedValue": name},
            "limit": size.quota,
            "currentValue": 0,
            "unit": "Count",
        }
