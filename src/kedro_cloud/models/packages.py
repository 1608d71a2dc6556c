"""Compare the packages that a model was trained with to those of the serving environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;+]+)", re.MULTILINE)


def find_differences(made_with: Mapping[str, str], lock: Path) -> list[str]:
    """Return the packages whose version differs in the environment, as "torch 2.12.0, now 2.13.0".

    Args:
        made_with: Versions by distribution; a local version label such as `+cpu` is ignored.
        lock: Lock file of the environment.
    """
    pinned = {_normalize(name): version for name, version in _PIN.findall(lock.read_text())}
    return [
        f"{name} {version}, now {pinned.get(_normalize(name), 'not installed')}"
        for name, version in sorted(made_with.items())
        if pinned.get(_normalize(name)) != version.partition("+")[0]
    ]


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
