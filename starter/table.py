"""Which scenario each file of the repository belongs to, as `scenarios.yml` says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

COMMON = "common"
"""Owner of what every project has."""
STARTER = "starter"
"""Owner of what makes projects, and stays behind."""
ALL = "all"
"""The answer that selects each scenario, and the owner of what only such a project has."""


@dataclass(frozen=True)
class Table:
    """What `scenarios.yml` says.

    Attributes:
        scenarios: By name: its files, and its share of the files that all have in common.
        shared: Globs by the scenarios that want the files, joined by `+`.
        whole: Globs of the files that are right only beside all scenarios.
        starter: Globs of what stays behind.
        starter_lines: By file, patterns of the lines that stay behind.
        leave_with: Globs of the files that leave with any scenario that they name.
        stay: Globs of those among them that stay nevertheless.
    """

    scenarios: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, list[str]]
    whole: list[str]
    starter: list[str]
    starter_lines: Mapping[str, list[str]]
    leave_with: list[str]
    stay: list[str]

    @classmethod
    def read(cls, path: Path) -> Table:
        """The table of a file."""
        return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))

    def chosen(self, text: str) -> list[str]:
        """Scenarios that a user names, in the table's order.

        Raises:
            ValueError: There is no such scenario, or none is named.
        """
        names = {name.strip() for name in text.split(",")} - {""}
        unknown = sorted(names - {ALL, *self.scenarios})
        if unknown or not names:
            names = ", ".join(unknown) or text
            raise ValueError(
                f"scenarios: there is no '{names}'; known are {', '.join(self.scenarios)}, "
                "with commas in between, or all"
            )
        return [name for name in self.scenarios if ALL in names or name in names]

    def owners(self, path: str) -> list[str]:
        """Who lays claim to a file; must be one at most, and none is `COMMON`."""
        claims = {name: parts["files"] for name, parts in self.scenarios.items()}
        claims |= {**self.shared, ALL: self.whole, STARTER: self.starter}
        return [name for name, globs in claims.items() if fits(path, globs)]

    def is_wanted(self, path: str, chosen: Collection[str]) -> bool:
        """Whether a project of these scenarios has a file."""
        owners = self.owners(path) or [COMMON]
        wanted = {COMMON, *chosen} | ({ALL} if set(chosen) == set(self.scenarios) else set())
        return any(wanted.intersection(owner.split("+")) for owner in owners)

    def parts(self, kind: str, names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        """Of scenarios, by file, what is theirs in files that all share.

        Args:
            kind: `keys`, `lines`, `sections` or `definitions`.
            names: Of the scenarios.
        """
        for name in names:
            yield from self.scenarios[name].get(kind, {}).items()

    def names(self, scenarios: Iterable[str]) -> re.Pattern[str]:
        """Names of scenarios in code and configuration; never matches if there are none."""
        found = [name for scenario in scenarios for name in self.scenarios[scenario]["names"]]
        return re.compile("|".join(f"(?:{name})" for name in found) or r"(?!)")

    def dependencies_only_of(self, gone: Collection[str]) -> set[str]:
        """Packages that no other scenario needs."""
        wanted: dict[bool, set[str]] = {True: set(), False: set()}
        for name, parts in self.scenarios.items():
            wanted[name in gone].update(parts["dependencies"])
        return wanted[True] - wanted[False]


def fits(path: str, globs: Iterable[str]) -> bool:
    """Whether a path matches one of the globs, whose `*` also means `/`."""
    return any(fnmatchcase(path, glob) for glob in globs)
