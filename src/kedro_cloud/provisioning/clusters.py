"""Compare the clusters in cloud.yml with those of the workspace."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kedro_cloud.core.cloud_settings import Cloud, Cluster
from kedro_cloud.workspace.changes import NEW, OTHER, REFUSED, SAME, Change, fail_with

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute, IdentityConfiguration

_FIXED = ("size", "tier")
"""Settings of a cluster that Azure ML cannot change."""


class _Obstacle(NamedTuple):
    """Reason why a region may not provide nodes; creating the cluster fails if it is final."""

    message: str
    is_final: bool


@dataclass(frozen=True)
class Clusters:
    """Compute clusters of a workspace.

    Attributes:
        client: Client of the workspace.
        cloud: Settings in cloud.yml.
    """

    client: MLClient
    cloud: Cloud

    def changes(self) -> Iterator[Change]:
        """Yield a change for each cluster of cloud.yml, then for others of the workspace."""
        existing = {compute.name: compute for compute in self.client.compute.list()}
        new = [name for name in self.cloud.clusters if name not in existing]
        obstacles = self._find_obstacles(new) if new else {}
        for name, target in self.cloud.clusters.items():
            if name not in existing:
                yield self._missing(name, target, obstacles.get(target.size))
            else:
                yield self._existing(name, target, existing[name])
        for name in existing.keys() - self.cloud.clusters.keys():
            yield Change(SAME, "compute", name, "not in cloud.yml, left alone")

    def _missing(self, name: str, target: Cluster, obstacle: _Obstacle | None) -> Change:
        message = obstacle.message if obstacle else ""
        if obstacle and obstacle.is_final:
            fail = fail_with(f"cluster '{name}': {message}")
            return Change(REFUSED, "cluster", name, message, fail)
        detail = "; ".join(filter(None, (_describe(target), message)))
        return Change(NEW, "cluster", name, detail, self._creator(name, target))

    def _existing(self, name: str, target: Cluster, existing: Any) -> Change:
        if existing.type != "amlcompute":
            kind = existing.type
            fault = f"is of another kind ({kind}); name another in cloud.yml and azureml.yml"
            return Change(REFUSED, "cluster", name, fault, fail_with(f"compute '{name}' {fault}"))
        differences = dict(self._differences(target, existing))
        if fixed := [differences[part] for part in _FIXED if part in differences]:
            fault = (
                f"{', '.join(fixed)}, which Azure ML does not change; remove it (az ml compute "
                f"delete --name {name}) and run kedro cloud provision again"
            )
            return Change(REFUSED, "cluster", name, fault, fail_with(f"cluster '{name}': {fault}"))
        if existing.provisioning_state == "Failed":
            detail = f"its creation had failed; {_describe(target)}"
            return Change(OTHER, "cluster", name, detail, self._creator(name, target))
        if differences:
            detail = ", ".join(differences.values())
            return Change(OTHER, "cluster", name, detail, self._updater(target, existing))
        return Change(SAME, "cluster", name, _describe(target))

    def _differences(self, target: Cluster, existing: AmlCompute) -> Iterator[tuple[str, str]]:
        """Yield the settings that differ, each with a text `SETTING BEFORE → AFTER`."""
        pairs = {
            "size": (str(existing.size).lower(), target.size.lower()),
            "tier": (existing.tier or "dedicated", target.tier),
            "min_nodes": (existing.min_instances, target.min_nodes),
            "max_nodes": (existing.max_instances, target.max_nodes),
            "idle_seconds": (int(existing.idle_time_before_scale_down or 0), target.idle_seconds),
        }
        for part, (before, after) in pairs.items():
            if before != after:
                shown = (existing.size, target.size) if part == "size" else (before, after)
                yield part, f"{part} {shown[0]} → {shown[1]}"
        if self.cloud.identity and self.cloud.identity not in _identities(existing):
            before = ", ".join(_identities(existing)) or "its own"
            yield "identity", f"identity {before} → {self.cloud.identity}"

    def _creator(self, name: str, target: Cluster) -> Callable[[], Any]:
        from azure.ai.ml.entities import AmlCompute

        def create() -> None:
            self.client.compute.begin_create_or_update(
                AmlCompute(
                    name=name,
                    location=self.cloud.region,
                    size=target.size,
                    min_instances=target.min_nodes,
                    max_instances=target.max_nodes,
                    idle_time_before_scale_down=target.idle_seconds,
                    tier=target.tier,
                    identity=self._identity(),
                    ssh_public_access_enabled=False,
                )
            ).result()

        return create

    def _updater(self, target: Cluster, existing: AmlCompute) -> Callable[[], Any]:
        def update() -> None:
            existing.min_instances = target.min_nodes
            existing.max_instances = target.max_nodes
            existing.idle_time_before_scale_down = target.idle_seconds
            if self.cloud.identity:
                existing.identity = self._identity()
            network: Any = existing.network_settings
            if network is not None:  # else the SDK would remove the cluster from its network
                existing.subnet = network.subnet
            self.client.compute.begin_update(existing).result()

        return update

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

    def _find_obstacles(self, new: list[str]) -> dict[str, _Obstacle]:
        """Return, by size, why the region cannot provide nodes of new clusters."""
        region = self.cloud.region
        sizes = {str(size.name): size for size in self.client.compute.list_sizes(location=region)}
        by_lower_name = {name.lower(): size for name, size in sizes.items()}
        usages = {
            _normalise(usage.name["value"]): usage.limit
            for usage in self.client.compute.list_usage(location=region)
        }
        obstacles = {}
        for target in (self.cloud.clusters[name] for name in new):
            size = by_lower_name.get(target.size.lower())
            if size is None:
                series = [name for name in sizes if name[:_SERIES] == target.size[:_SERIES]]
                close = difflib.get_close_matches(target.size, series, n=2)
                others = f"; it has {', '.join(close)}" if close else ""
                message = (
                    f"region {region} has no machine of size {target.size}{others}; give it "
                    "another size in cloud.yml"
                )
                obstacles[target.size] = _Obstacle(message, is_final=True)
            elif target.tier == "dedicated" and _quota(str(size.family), usages) == 0:
                message = f"your quota of {size.family} cores is 0"
                obstacles[target.size] = _Obstacle(message, is_final=False)
        return obstacles


_SERIES = len("Standard_N")
"""Length of the part of a size that names its kind of machine: all Standard_N have GPUs."""


def _describe(target: Cluster) -> str:
    return (
        f"{target.size}, {target.min_nodes} to {target.max_nodes} nodes, {target.idle_seconds} "
        f"idle seconds, {target.tier}"
    )


def _identities(cluster: AmlCompute) -> list[str]:
    assigned = cluster.identity.user_assigned_identities if cluster.identity else None
    return [str(each.resource_id).rpartition("/")[2] for each in assigned or []]


def _quota(family: str, usages: dict[str, int]) -> int | None:
    """Return the quota of cores of a family; None if the region does not list it."""
    prefix = _normalise(family)
    return next((limit for name, limit in usages.items() if name.startswith(prefix)), None)


def _normalise(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
