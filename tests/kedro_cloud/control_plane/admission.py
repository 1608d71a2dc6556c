"""What the Azure ML service looks at before it keeps something, and what it says of a region."""

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
    """A size of machine that a region has, and how many of its family's cores one may have."""

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
    """Refuses what the service would, in its words."""

    resources: Resources
    sizes: dict[str, Size] = field(default_factory=_sizes)
    taken_elsewhere: set[str] = field(default_factory=set)
    """Names of endpoints that other workspaces of the region have."""
    lost_identities: set[str] = field(default_factory=set)
    """Names of identities that are not there, though somebody may name them."""

    def refusal(self, path: str, body: Document) -> Answer | None:
        """Why something cannot be kept; None if it can."""
        kind = type_of(path).partition("/workspaces/")[2]
        look = {
            "batchEndpoints": self._endpoint,
            "batchEndpoints/deployments": self._deployment,
            "onlineEndpoints": self._online_endpoint,
            "computes": self._cluster,
        }.get(kind)
        said = look(path, body.get("properties", {})) if look else ""
        if said:
            return Answer.error(400, "UserError", said)
        return self._without_identity(body)

    def of_region(self, path: str) -> Answer | None:
        """Sizes or quotas of the region; None if they are not asked for."""
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
        said = properties["properties"]
        size = next(
            (found for name, found in self.sizes.items() if name.lower() == said["vmSize"].lower()),
            None,
        )
        if size is None:
            return f"The requested VM size {said['vmSize']} is not available in the region."
        if size.quota < size.cores:
            return (
                f"The specified subscription has a {size.family} vCPU quota of {size.quota} and "
                "cannot accomodate for at least 1 requested managed compute nodes which maps to "
                f"{size.cores} vCPUs. Talk to your Subscription Admin or refer to {QUOTA_PAGE}"
                "#request-quota-increases to increase the family quota"
            )
        before = self.resources.get(path)
        if before and before["properties"]["properties"]["vmSize"] != said["vmSize"]:
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
        said = f"{size.family} Cluster Dedicated vCPUs"
        return {
            "name": {"value": said, "localizedValue": said},
            "limit": size.quota,
            "currentValue": 0,
            "unit": "Count",
        }
