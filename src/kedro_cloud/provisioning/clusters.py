"""Clusters as cloud.yml has them, beside those of the workspace."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_cloud.core.cloud_settings import Cloud, Cluster
from kedro_cloud.workspace.changes import NEW, OTHER, REFUSED, SAME, Change, fail_with

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute, IdentityConfiguration

_FIXED = ("size", "tier")
"""What Azure ML does not change of a cluster."""


@dataclass(frozen=True)
class Clusters:
    """The clusters of a workspace, and what they should be.

    Attributes:
        client: Of the workspace.
        cloud: What cloud.yml says.
    """

    client: MLClient
    cloud: Cloud

    def changes(self) -> Iterator[Change]:
        """One for each cluster of cloud.yml; then those that only the workspace has."""
        there = {compute.name: compute for compute in self.client.compute.list()}
        new = [name for name in self.cloud.clusters if name not in there]
        hints = self._hints(new) if new else {}
        for name, wanted in self.cloud.clusters.items():
            if name not in there:
                yield self._new(name, wanted, hints.get(wanted.size.lower()))
            else:
                yield self._existing(name, wanted, there[name])
        for name in there.keys() - self.cloud.clusters.keys():
            yield Change(SAME, "compute", name, "not in cloud.yml, left alone")

    def _new(self, name: str, wanted: Cluster, hint: str | None) -> Change:
        if hint and hint.startswith(_NO_SUCH):
            return Change(REFUSED, "cluster", name, hint, fail_with(f"cluster '{name}': {hint}"))
        detail = _told(wanted) + (f"; {hint}" if hint else "")
        return Change(NEW, "cluster", name, detail, self._maker(name, wanted))

    def _existing(self, name: str, wanted: Cluster, there: Any) -> Change:
        if there.type != "amlcompute":
            said = f"is of another kind ({there.type}); name another in cloud.yml and azureml.yml"
            return Change(REFUSED, "cluster", name, said, fail_with(f"compute '{name}' {said}"))
        differences = dict(self._differences(wanted, there))
        if fixed := [differences[part] for part in _FIXED if part in differences]:
            said = (
                f"{', '.join(fixed)}, which Azure ML does not change; remove it (az ml compute "
                f"delete --name {name}) and run kedro cloud provision again"
            )
            return Change(REFUSED, "cluster", name, said, fail_with(f"cluster '{name}': {said}"))
        if there.provisioning_state == "Failed":
            said = f"its creation had failed; {_told(wanted)}"
            return Change(OTHER, "cluster", name, said, self._maker(name, wanted))
        if differences:
            detail = ", ".join(differences.values())
            return Change(OTHER, "cluster", name, detail, self._changer(wanted, there))
        return Change(SAME, "cluster", name, _told(wanted))

    def _differences(self, wanted: Cluster, there: AmlCompute) -> Iterator[tuple[str, str]]:
        """By setting, from what to what."""
        pairs = {
            "size": (str(there.size).lower(), wanted.size.lower()),
            "tier": (there.tier or "dedicated", wanted.tier),
            "min_nodes": (there.min_instances, wanted.min_nodes),
            "max_nodes": (there.max_instances, wanted.max_nodes),
            "idle_seconds": (int(there.idle_time_before_scale_down or 0), wanted.idle_seconds),
        }
        for part, (before, after) in pairs.items():
            if before != after:
                shown = (there.size, wanted.size) if part == "size" else (before, after)
                yield part, f"{part} {shown[0]} → {shown[1]}"
        if self.cloud.identity and self.cloud.identity not in _identities(there):
            before = ", ".join(_identities(there)) or "its own"
            yield "identity", f"identity {before} → {self.cloud.identity}"

    def _maker(self, name: str, wanted: Cluster) -> Callable[[], Any]:
        from azure.ai.ml.entities import AmlCompute

        def make() -> None:
            self.client.compute.begin_create_or_update(
                AmlCompute(
                    name=name,
                    location=self.cloud.region,
                    size=wanted.size,
                    min_instances=wanted.min_nodes,
                    max_instances=wanted.max_nodes,
                    idle_time_before_scale_down=wanted.idle_seconds,
                    tier=wanted.tier,
                    identity=self._identity(),
                    ssh_public_access_enabled=False,
                )
            ).result()

        return make

    def _changer(self, wanted: Cluster, there: AmlCompute) -> Callable[[], Any]:
        def change() -> None:
            there.min_instances = wanted.min_nodes
            there.max_instances = wanted.max_nodes
            there.idle_time_before_scale_down = wanted.idle_seconds
            if self.cloud.identity:
                there.identity = self._identity()
            network: Any = there.network_settings
            if network is not None:  # else the SDK would send the cluster without its network
                there.subnet = network.subnet
            self.client.compute.begin_update(there).result()

        return change

    def _identity(self) -> IdentityConfiguration:
        from azure.ai.ml.entities import IdentityConfiguration, ManagedIdentityConfiguration

        if not self.cloud.identity:
            return IdentityConfiguration(type="system_assigned")
        group = f"/subscriptions/{self.client.subscription_id}/resourceGroups/"
        identity = (
            f"{group}{self.client.resource_group_name}/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/{self.cloud.identity}"
        )
        return IdentityConfiguration(
            type="user_assigned",
            user_assigned_identities=[ManagedIdentityConfiguration(resource_id=identity)],
        )

    def _hints(self, new: list[str]) -> dict[str, str]:
        """By size, what of the region stands against it: it has none, or no quota for it."""
        region = self.cloud.region
        sizes = {str(size.name): size for size in self.client.compute.list_sizes(location=region)}
        known = {name.lower(): size for name, size in sizes.items()}
        usages = {
            _letters(usage.name["value"]): usage.limit
            for usage in self.client.compute.list_usage(location=region)
        }
        hints = {}
        for wanted in (self.cloud.clusters[name] for name in new):
            size = known.get(wanted.size.lower())
            if size is None:
                series = [name for name in sizes if name[:_SERIES] == wanted.size[:_SERIES]]
                close = difflib.get_close_matches(wanted.size, series, n=2)
                others = f"; it has {', '.join(close)}" if close else ""
                hints[wanted.size.lower()] = (
                    f"{_NO_SUCH} {region} has no machine of size {wanted.size}{others}; give it "
                    "another size in cloud.yml"
                )
            elif wanted.tier == "dedicated" and _quota(str(size.family), usages) == 0:
                hints[wanted.size.lower()] = f"your quota of {size.family} cores is 0"
        return hints


_NO_SUCH = "region"
_SERIES = len("Standard_N")
"""Characters of a size that say what its machines are for: all of Standard_N have GPUs."""


def _told(wanted: Cluster) -> str:
    return (
        f"{wanted.size}, {wanted.min_nodes} to {wanted.max_nodes} nodes, {wanted.idle_seconds} "
        f"idle seconds, {wanted.tier}"
    )


def _identities(there: AmlCompute) -> list[str]:
    found = there.identity.user_assigned_identities if there.identity else None
    return [str(each.resource_id).rpartition("/")[2] for each in found or []]


def _quota(family: str, usages: dict[str, int]) -> int | None:
    """Cores of a family that one may have; None if the region does not tell."""
    wanted = _letters(family)
    return next((limit for name, limit in usages.items() if name.startswith(wanted)), None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
