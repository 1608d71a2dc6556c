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
class Wanted:
    """Desired deployment.

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
        """Return a hash of all attributes, 12 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def description(self) -> str:
        """Return model, instances and environment as text."""
        return (
            f"{self.model} version {self.version} on {self.instances} × {self.size} "
            f"in {self.environment}"
        )


@dataclass(frozen=True)
class Standing:
    """Current state of an endpoint.

    Attributes:
        exists: Whether the endpoint exists.
        traffic: Percent of the traffic by deployment, without deployments that get none.
        contents: `Wanted.content` by deployment; empty if another tool created the deployment, or
            its creation did not succeed.
    """

    exists: bool
    traffic: Mapping[str, int]
    contents: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """Change from the current to the desired state of an endpoint.

    Attributes:
        wanted: Desired deployment.
        standing: Current state.
        target: Name of the deployment that gets the traffic.
        makes: Whether the deployment must be created.
        removes: Deployments to delete.
    """

    wanted: Wanted
    standing: Standing
    target: str
    makes: bool
    removes: tuple[str, ...]

    @property
    def moves_traffic(self) -> bool:
        """Return whether the target does not get all traffic yet."""
        return dict(self.standing.traffic) != {self.target: 100}

    @property
    def is_done(self) -> bool:
        """Return whether nothing is left to change."""
        return not (self.makes or self.moves_traffic or self.removes)

    def told(self) -> Iterator[str]:
        """Yield a line for each change."""
        if not self.standing.exists:
            yield f"+ endpoint {self.wanted.endpoint}, with Microsoft Entra tokens and no keys"
        if self.makes:
            yield f"+ deployment {self.target}: {self.wanted.description}"
        if self.moves_traffic:
            yield (
                f"~ traffic: 100 % to {self.target}, once it has answered a test request "
                f"({self._traffic_now()} until then)"
            )
        for name in self.removes:
            yield f"- deployment {name}"

    def _traffic_now(self) -> str:
        shares = [f"{share} % to {name}" for name, share in self.standing.traffic.items()]
        return ", ".join(shares) or "none"


def plan(wanted: Wanted, standing: Standing, keep: bool) -> Change:
    """Plan the change of an endpoint; reuse a deployment with the same content.

    Args:
        wanted: Desired deployment.
        standing: Current state of the endpoint.
        keep: Whether to keep the previous deployment, for a fast rollback.

    Raises:
        ValueError: The traffic is split between blue and green.
    """
    equal = [name for name, content in standing.contents.items() if content == wanted.content]
    equal.sort(key=lambda name: -standing.traffic.get(name, 0))
    free = [name for name in COLOURS if name not in standing.traffic]
    if not (equal or free):
        raise ValueError(
            f"endpoint {wanted.endpoint} splits its traffic between {' and '.join(COLOURS)}; give "
            f"all of it to one: az ml online-endpoint update --name {wanted.endpoint} "
            f'--traffic "{COLOURS[0]}=100"'
        )
    target = (equal or free)[0]
    others = [name for name in COLOURS if name in standing.contents and name != target]
    return Change(wanted, standing, target, not equal, () if keep else tuple(others))
