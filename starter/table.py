"""Read `scenarios.yml`: which part of the project each file of the repository belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

ALL = "all"
"""The answer that selects each scenario."""
AZURE = "azure"
CUTS = ("swaps", "paragraphs", "keys", "lines", "sections", "definitions")
"""Kinds of parts removed from common files, in this order."""

Part = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Contents of `scenarios.yml`.

    Attributes:
        scenarios: By name: its files, and its parts of common files.
        azure: The same of the plugin and of Azure's resources.
        shared: The same, by name, of what several scenarios need, which `of` names.
        left_out: The same, of what no project gets.
        claimed_only: Globs of files that a project gets only if a scenario or `azure` claims them.
        pruned: Globs of modules that leave unless the rest of the project uses them.
    """

    scenarios: Mapping[str, Part]
    azure: Part
    shared: Mapping[str, Part]
    left_out: Part
    claimed_only: list[str]
    pruned: list[str]

    @classmethod
    def read(cls, path: Path) -> Table:
        """Return the table of a file."""
        return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))

    def chosen(self, text: str) -> list[str]:
        """Return the scenarios that a user names, in the table's order.

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

    @property
    def parts(self) -> dict[str, Part]:
        """Return the scenarios, `azure` and their shared parts, by name."""
        return {**self.scenarios, AZURE: self.azure, **self.shared}

    def with_shared(self, chosen: Collection[str]) -> list[str]:
        """Return chosen parts, followed by what they share."""
        found = [name for name, part in self.shared.items() if set(part["of"]) & set(chosen)]
        return [*chosen, *found]

    def owners(self, path: str) -> list[str]:
        """Return the parts that a file belongs to; none if it is common."""
        return [name for name, part in self.parts.items() if fits(path, part["files"])]

    def is_included(self, path: str, chosen: Collection[str]) -> bool:
        """Return whether a project of these parts gets a file."""
        owners = self.owners(path)
        if fits(path, self.left_out["files"]) or (not owners and fits(path, self.claimed_only)):
            return False
        return set(owners) <= set(chosen)

    def cuts(self, kind: str, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Yield what to remove from common files without some parts: file and content.

        Args:
            kind: One of `CUTS`.
            names: Of `parts`.
        """
        for part in (self.left_out, *(self.parts[name] for name in names)):
            yield from part.get(kind, {}).items()

    def names(self, parts: Iterable[str]) -> re.Pattern[str]:
        """Return a pattern of the names of parts in code; it never matches if there are none."""
        found = [name for part in parts for name in self.parts[part]["names"]]
        return re.compile("|".join(f"(?:{name})" for name in found) or r"(?!)")

    def dependencies_only_of(self, gone: Collection[str]) -> set[str]:
        """Return the packages that only removed parts or `left_out` need."""
        needed: dict[bool, set[str]] = {True: set(self.left_out["dependencies"]), False: set()}
        for name, part in self.parts.items():
            needed[name in gone].update(part["dependencies"])
        return needed[True] - needed[False]


def fits(path: str, globs: Iterable[str]) -> bool:
    """Return whether a path matches one of the globs, whose `*` also means `/`."""
    return any(fnmatchcase(path, glob) for glob in globs)
