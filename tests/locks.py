"""Read the lock files."""

from __future__ import annotations

import re

from packaging.markers import Marker

from support import ROOT

_LINE = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE)


def _lines(name: str) -> list[tuple[str, str, str]]:
    """Return package, version and marker of each package."""
    return _LINE.findall((ROOT / name).read_text(encoding="utf-8"))


def locked(name: str) -> dict[str, str]:
    """Return versions by package."""
    return {package: version for package, version, _ in _lines(name)}


def applicable(name: str) -> dict[str, str]:
    """Return versions by package, of those that this Python on this system needs."""
    return {
        package: version
        for package, version, marker in _lines(name)
        if not marker or Marker(marker).evaluate()
    }
