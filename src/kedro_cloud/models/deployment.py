"""Plan the changes of a managed online endpoint, as a blue-green deployment.

A new deployment is created beside the current one, and gets the traffic once it has answered a
test request. See "Perform safe rollout of new deployments for real-time inference" in Microsoft's
documentation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

COLOURS = ("blue", "green")


@dataclass(frozen=True)
class DesiredDeployment:
    """Desired deployment of a model.

    Attributes:
        endpoint: Name of the endpoint, unique in its region.
        model: Registered name of the model.
        version: Version of the model.
        environment: Environment as `name:version`.
        code: SHA-256 of the scoring code.
        size: Azure VM size of the instances.
        instances: Number of instances.
    """

    endpoint: str
    model: str
    version: str
    environment: str
    code: str
    size: str
    instances: int

    @property
    def content(self) -> str:
        """Hash of all attributes, 12 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def description(self) -> str:
        """Model, instances and environment as text."""
        return (
            f"{self.model} version {self.version} on {self.instances} × {self.size} "
            f"in {self.environment}"
        )


@dataclass(frozen=True)
class EndpointState:
    """Current state of an endpoint.

    Attributes:
        exists: Whether the endpoint exists.
        traffic: Percent of the traffic by deployment, without deployments that get none.
        contents: `DesiredDeployment.content` by deployment; empty if another tool created the
            deployment, or its creation did not succeed.
    """

    exists: bool
    traffic: Mapping[str, int]
    contents: Mapping[str, str]


@dataclass(frozen=True)
class EndpointChange:
    """Change from the current to the desired state of an endpoint.

    Attributes:
        desired: Desired deployment.
        state: Current state.
        target: Name of the deployment that gets the traffic.
        creates: Whether the deployment must be created.
        removes: Deployments to delete.
    """

    desired: DesiredDeployment
    state: EndpointState
    target: str
    creates: bool
    removes: tuple[str, ...]

    @property
    def moves_traffic(self) -> bool:
        """Whether the target does not get all traffic yet."""
        return dict(self.state.traffic) != {self.target: 100}

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to change."""
        return not (self.creates or self.moves_traffic or self.removes)

    def describe(self) -> Iterator[str]:
        """Yield a line for each change."""
        if not self.state.exists:
            yield f"+ endpoint {self.desired.endpoint}, with Microsoft Entra tokens and no keys"
        if self.creates:
            yield f"+ deployment {self.target}: {self.desired.description}"
        if self.moves_traffic:
            shares = [f"{share} % to {name}" for name, share in self.state.traffic.items()]
            yield (
                f"~ traffic: 100 % to {self.target}, once it has answered a test request "
                f"({', '.join(shares) or 'none'} until then)"
            )
        for name in self.removes:
            yield f"- deployment {name}"


def plan(desired: DesiredDeployment, state: EndpointState, keep: bool) -> EndpointChange:
    """Plan the change of an endpoint; reuse a deployment with the same content.

    Args:
        desired: Desired deployment.
        state: Current state of the endpoint.
        keep: Whether to keep the previous deployment, for a fast rollback.

    Raises:
        ValueError: The traffic is split between blue and green.
    """
    equal = [name for name, content in state.contents.items() if content == desired.content]
    equal.sort(key=lambda name: -state.traffic.get(name, 0))
    free = [name for name in COLOURS if name not in state.traffic]
    if not (equal or free):
        raise ValueError(
            f"endpoint {desired.endpoint} splits its traffic between {' and '.join(COLOURS)}; give "
            f"all of it to one: az ml online-endpoint update --name {desired.endpoint} "
            f'--traffic "{COLOURS[0]}=100"'
        )
    target = (equal or free)[0]
    others = [name for name in COLOURS if name in state.contents and name != target]
    return EndpointChange(desired, state, target, not equal, () if keep else tuple(others))
