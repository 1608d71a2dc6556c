"""Compare the clusters in cloud.yml with those of the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kedro_cloud.core.cloud_settings import Cloud, Cluster
from kedro_cloud.workspace.changes import (
    NEW,
    OTHER,
    REFUSED,
    SAME,
    Change,
    fail_with,
    find_differences,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute, IdentityConfiguration

_FIXED = ("size", "tier")
"""Settings of a cluster that Azure ML cannot change."""


@dataclass(frozen=True)
class Clusters:
    """Compute clusters of a workspace."""

    client: MLClient
    cloud: Cloud

    def changes(self) -> Iterator[Change]:
        """Yield a change for each cluster of cloud.yml, then for others of the workspace."""
        existing = {compute.name: compute for compute in self.client.compute.list()}
        for name, target in self.cloud.clusters.items():
            if name in existing:
                yield self._plan_update(name, target, existing[name])
            else:
                create = partial(self._create, name, target)
                yield Change(NEW, "cluster", name, _describe(target), create)
        for name in existing.keys() - self.cloud.clusters.keys():
            yield Change(SAME, "compute", name, "not in cloud.yml, left alone")

    def _plan_update(self, name: str, target: Cluster, existing: Any) -> Change:
        if existing.type != "amlcompute":
            kind = existing.type
            fault = f"is of another kind ({kind}); name another in cloud.yml and azureml.yml"
            return Change(REFUSED, "cluster", name, fault, fail_with(f"compute '{name}' {fault}"))
        differences = self._find_differences(target, existing)
        if fixed := [differences[part] for part in _FIXED if part in differences]:
            fault = (
                f"{', '.join(fixed)}, which Azure ML does not change; remove it (az ml compute "
                f"delete --name {name}) and run kedro cloud provision again"
            )
            return Change(REFUSED, "cluster", name, fault, fail_with(f"cluster '{name}': {fault}"))
        if existing.provisioning_state == "Failed":
            detail = f"its creation had failed; {_describe(target)}"
            return Change(OTHER, "cluster", name, detail, partial(self._create, name, target))
        if differences:
            detail = ", ".join(differences.values())
            return Change(OTHER, "cluster", name, detail, partial(self._update, target, existing))
        return Change(SAME, "cluster", name, _describe(target))

    def _find_differences(self, target: Cluster, existing: AmlCompute) -> dict[str, str]:
        """Return the settings of a cluster that differ, as `changes.find_differences` does."""
        is_same_size = str(existing.size).lower() == target.size.lower()
        settings = {
            "size": (target.size if is_same_size else existing.size, target.size),
            "tier": (existing.tier or "dedicated", target.tier),
            "min_nodes": (existing.min_instances, target.min_nodes),
            "max_nodes": (existing.max_instances, target.max_nodes),
            "idle_seconds": (int(existing.idle_time_before_scale_down or 0), target.idle_seconds),
        }
        if self.cloud.identity and self.cloud.identity not in _identities(existing):
            before = ", ".join(_identities(existing)) or "its own"
            settings["identity"] = (before, self.cloud.identity)
        return find_differences(settings)

    def _create(self, name: str, target: Cluster) -> None:
        from azure.ai.ml.entities import AmlCompute

        cluster = AmlCompute(
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
        self.client.compute.begin_create_or_update(cluster).result()

    def _update(self, target: Cluster, existing: AmlCompute) -> None:
        existing.min_instances = target.min_nodes
        existing.max_instances = target.max_nodes
        existing.idle_time_before_scale_down = target.idle_seconds
        if self.cloud.identity:
            existing.identity = self._identity()
        network: Any = existing.network_settings
        if network is not None:  # else the SDK would remove the cluster from its network
            existing.subnet = network.subnet
        self.client.compute.begin_update(existing).result()

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


def _describe(target: Cluster) -> str:
    return (
        f"{target.size}, {target.min_nodes} to {target.max_nodes} nodes, {target.idle_seconds} "
        f"idle seconds, {target.tier}"
    )


def _identities(cluster: AmlCompute) -> list[str]:
    assigned = cluster.identity.user_assigned_identities if cluster.identity else None
    return [str(each.resource_id).rpartition("/")[2] for each in assigned or []]
