"""Warn of clusters and deployments that use what Azure retires, as `platform.yml` lists it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from kedro_cloud.core.cloud_settings import read_files, validate_section

_NOTICE = timedelta(days=365)
"""Time before a retirement from which warnings are given."""


class Machines(NamedTuple):
    """Machines of a cluster or a deployment.

    Attributes:
        resource: Kind and name of what they belong to, such as `cluster 'cpu-cluster'`.
        size: VM size, such as `Standard_D4s_v5`.
        tier: `dedicated` or `low_priority`.
    """

    resource: str
    size: str
    tier: str = "dedicated"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Retirement(_Part):
    """Machines that Azure retires on a date: those of a tier, or of sizes.

    Attributes:
        name: What is retired, in the plural.
        tiers: Retired tiers.
        sizes: Regular expression that matches retired VM sizes in any case; None for none.
        date: Date of the retirement.
        advice: What to use instead.
        source: Where Microsoft announces it.
    """

    name: str = Field(min_length=1)
    tiers: tuple[Literal["dedicated", "low_priority"], ...] = ()
    sizes: re.Pattern[str] | None = None
    date: date
    advice: str = Field(min_length=1)
    source: str = Field(min_length=1)

    def concerns(self, machines: Machines) -> bool:
        """Return whether these machines are retired."""
        if machines.tier in self.tiers:
            return True
        if self.sizes is None:
            return False
        return re.fullmatch(self.sizes.pattern, machines.size, re.IGNORECASE) is not None


class _Platform(_Part):
    retirements: tuple[Retirement, ...] = ()


def load_retirements(project: Path, environment: str) -> tuple[Retirement, ...]:
    """Return the retirements in an environment's `platform.yml`; none if it has no such file.

    Raises:
        ValueError: A setting is missing, unknown or invalid.
    """
    content = read_files(project, environment, "platform")
    if "platform" not in content:
        return ()
    where = f"conf/{environment}/platform.yml"
    return validate_section(_Platform, content, "platform", where).retirements


def format_warnings(
    retirements: Iterable[Retirement], machines: Iterable[Machines], today: date
) -> Iterator[str]:
    """Yield a warning for each use of machines that are retired, or will be within a year.

    Args:
        retirements: What Azure retires.
        machines: Machines in use.
        today: Date on which the retirements are evaluated.
    """
    near = [each for each in retirements if each.date <= today + _NOTICE]
    for used in machines:
        for each in near:
            if each.concerns(used):
                time = "were retired" if each.date <= today else "will be retired"
                what = used.tier if used.tier in each.tiers else used.size
                yield (
                    f"{used.resource} uses {what}: {each.name} {time} on {each.date}; "
                    f"{each.advice} ({each.source})"
                )
