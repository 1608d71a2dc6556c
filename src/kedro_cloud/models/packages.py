"""Whether a model would be served by the packages that it was made with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;+]+)", re.MULTILINE)


def differing(made_with: Mapping[str, str], lock: Path) -> list[str]:
    """Packages of a model that have another version in the image: "torch 2.12.0, now 2.13.0".

    Args:
        made_with: Versions by distribution, with or without a local label as `+cpu`.
        lock: The lock file that the image is made of.
    """
    pinned = {_plain(name): version for name, version in _PIN.findall(lock.read_text())}
    return [
        f"{name} {version}, now {pinned.get(_plain(name), 'not there')}"
        for name, version in sorted(made_with.items())
        if pinned.get(_plain(name)) != version.partition("+")[0]
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
