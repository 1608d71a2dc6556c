"""Plan the changes of a command in the workspace, then apply them one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kedro_cloud.workspace.answers import is_workspace_missing, is_workspace_wide

SAME, NEW, OTHER, GONE, REFUSED = "=", "+", "~", "-", "!"
"""Signs: no change; create; update; delete; needed, but impossible."""
_DONE = {NEW: "created", OTHER: "changed", GONE: "removed"}


@dataclass(frozen=True)
class Change:
    """A planned change of a resource.

    Attributes:
        sign: Kind of change: `SAME`, `NEW`, `OTHER`, `GONE` or `REFUSED`.
        kind: Kind of resource, such as `cluster` or `datastore`.
        name: Name of the resource.
        detail: Description of the resource or the change.
        apply: Applies the change; None where nothing changes.
        needs: Kind and name of the resource that must be changed before.
    """

    sign: str
    kind: str
    name: str
    detail: str = ""
    apply: Callable[[], Any] | None = None
    needs: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.sign} {self.kind} {self.name}" + (f": {self.detail}" if self.detail else "")


def fail_with(message: str) -> Callable[[], Any]:
    """Return a function that raises ValueError, for a change that is impossible."""

    def fail() -> None:
        raise ValueError(message)

    return fail


def find_differences(settings: Mapping[str, tuple[Any, Any]]) -> dict[str, str]:
    """Return the settings that differ, each with a text `SETTING BEFORE → AFTER`.

    Args:
        settings: By name, the existing and the desired value.
    """
    return {
        name: f"{name} {before} → {after}"
        for name, (before, after) in settings.items()
        if before != after
    }


def select_pending(changes: Iterable[Change]) -> list[Change]:
    """Return the changes that have something to apply."""
    return [change for change in changes if change.apply is not None]


def apply_all(changes: Iterable[Change], report: Callable[[str], None]) -> list[Exception]:
    """Apply changes in order, and continue after failures that concern one change only.

    Args:
        changes: Changes to apply.
        report: Receives a line after each change.

    Returns:
        The errors; changes that depend on a failed one are skipped.
    """
    failed: dict[tuple[str, str], Exception] = {}
    for change in select_pending(changes):
        assert change.apply is not None
        if change.needs in failed:
            failed[change.kind, change.name] = failed[change.needs]
            continue
        try:
            change.apply()
        except Exception as error:
            if is_workspace_wide(error):
                raise
            failed[change.kind, change.name] = error
        else:
            report(f"{_DONE[change.sign]} {change.kind} {change.name}")
    return list(dict.fromkeys(failed.values()))


def get_or_none(get: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return a resource of the workspace, or None; raise if the workspace does not exist."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with hide_warnings():
            return get(*arguments, **options)
    except ResourceNotFoundError as error:
        if is_workspace_missing(error):
            raise
        return None


@contextmanager
def hide_warnings(name: str = "azure.ai.ml._utils._experimental") -> Iterator[None]:
    """Hide the warnings of a logger; by default those of the SDK about experimental classes."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
