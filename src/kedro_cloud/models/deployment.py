"""What stands behind a managed online endpoint, what should, and what is to change.

Blue and green: a new deployment comes beside the one that answers, and gets the traffic once it has
answered. See "Perform safe rollout of new deployments for real-time inference" in Microsoft's
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
    """A deployment as it should be.

    Attributes:
        endpoint: Its name, unique in its region.
        model: Registered name.
        version: Of the model.
        environment: `name:version` of the image.
        code: SHA-256 of the code that serves it.
        size: Of each machine, by Azure's name.
        instances: Machines.
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
        """Twelve digits that differ where anything of the deployment does."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def told(self) -> str:
        """In words."""
        return (
            f"{self.model} version {self.version} on {self.instances} × {self.size} "
            f"in {self.environment}"
        )


@dataclass(frozen=True)
class Standing:
    """What there is.

    Attributes:
        exists: Whether the endpoint does.
        traffic: Percent by deployment, without those that get none.
        contents: By deployment what it was made of, as `Wanted.content`; empty if it was not made
            here, or was not finished.
    """

    exists: bool
    traffic: Mapping[str, int]
    contents: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """From what stands to what should.

    Attributes:
        wanted: What should stand.
        standing: What stands.
        target: Name of the deployment that will answer.
        makes: Whether it is to be made.
        removes: Deployments that nobody will need.
    """

    wanted: Wanted
    standing: Standing
    target: str
    makes: bool
    removes: tuple[str, ...]

    @property
    def moves_traffic(self) -> bool:
        """Whether something else answers so far."""
        return dict(self.standing.traffic) != {self.target: 100}

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.makes or self.moves_traffic or self.removes)

    def told(self) -> Iterator[str]:
        """A line for each thing that will change."""
        if not self.standing.exists:
            yield f"+ endpoint {self.wanted.endpoint}, entered with Microsoft Entra tokens, no keys"
        if self.makes:
            yield f"+ deployment {self.target}: {self.wanted.told}"
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
    """What is to change.

    Args:
        wanted: What should stand.
        standing: What stands.
        keep: Leave the deployment before, to go back to it at once.

    Raises:
        ValueError: Somebody has split the traffic between blue and green.
    """
    equal = [name for name, content in standing.contents.items() if content == wanted.content]
    equal.sort(key=lambda name: -standing.traffic.get(name, 0))
    free = [name for name in COLOURS if name not in standing.traffic]
    if not (equal or free):
        raise ValueError(
            f"endpoint {wanted.endpoint} splits its traffic between {' and '.join(COLOURS)}; give "
            f"all to one: az ml online-endpoint update --name {wanted.endpoint} "
            f'--traffic "{COLOURS[0]}=100"'
        )
    target = (equal or free)[0]
    others = [name for name in COLOURS if name in standing.contents and name != target]
    return Change(wanted, standing, target, not equal, () if keep else tuple(others))
