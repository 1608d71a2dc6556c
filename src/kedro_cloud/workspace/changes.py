"""What a command would change in the cloud: told first, then done, each by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kedro_cloud.workspace.answers import is_workspace_missing

SAME, NEW, OTHER, GONE, REFUSED = "=", "+", "~", "-", "!"
"""Signs: is as it should be; is made; is changed; is removed; would have to be, and cannot."""


@dataclass(frozen=True)
class Change:
    """One thing of the cloud, as it should be.

    Attributes:
        sign: What happens to it.
        kind: `cluster`, `datastore` and so on.
        name: Its name there.
        detail: What it is, or from what to what it changes.
        apply: Does it; None where there is nothing to do.
        needs: Kind and name of what must be done before.
    """

    sign: str
    kind: str
    name: str
    detail: str = ""
    apply: Callable[[], Any] | None = None
    needs: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.sign} {self.kind} {self.name}" + (f": {self.detail}" if self.detail else "")


def fail_with(said: str) -> Callable[[], Any]:
    """What raises, in place of a change that cannot be made."""

    def refuse() -> None:
        raise ValueError(said)

    return refuse


@dataclass(frozen=True)
class Failure:
    """A change that could not be made, and why."""

    change: Change
    error: BaseException


def select_pending(changes: Iterable[Change]) -> list[Change]:
    """Those of which there is something to do."""
    return [change for change in changes if change.apply is not None]


def apply_all(
    changes: Sequence[Change], say: Callable[[str], None], stop: Callable[[Exception], bool]
) -> list[Failure]:
    """Make the changes in their order; one that fails does not keep the others from being made.

    Args:
        changes: Each is asked to make itself.
        say: Told after each.
        stop: Whether after this error nothing else can be made either; then it is raised.
    """
    failed: dict[tuple[str, str], Failure] = {}
    for change in select_pending(changes):
        assert change.apply is not None
        if change.needs in failed:
            failed[change.kind, change.name] = failed[change.needs]
            continue
        try:
            change.apply()
        except Exception as error:
            if stop(error):
                raise
            failed[change.kind, change.name] = Failure(change, error)
        else:
            say(f"{_DONE[change.sign]} {change.kind} {change.name}")
    return list({id(failure): failure for failure in failed.values()}.values())


_DONE = {NEW: "made", OTHER: "changed", GONE: "removed"}


def found(get: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What is in the workspace, or None; a workspace that is not there is an error."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with quietly():
            return get(*arguments, **options)
    except ResourceNotFoundError as error:
        if is_workspace_missing(error):
            raise
        return None


@contextmanager
def quietly() -> Iterator[None]:
    """Leave out that classes of the SDK are experimental: it tells a user nothing to do."""
    logger = logging.getLogger("azure.ai.ml._utils._experimental")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
