"""Create, list, pause and remove the schedules of a workspace.

Azure ML starts scheduled jobs even while the previous one is running: a pipeline whose runs must
not overlap has to claim its data itself. A pipeline has at most one enabled schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_cloud.publishing.component import CompiledPipeline
from kedro_cloud.publishing.endpoint import TAG
from kedro_cloud.workspace.changes import (
    GONE,
    NEW,
    OTHER,
    SAME,
    Change,
    find_differences,
    get_or_none,
    hide_warnings,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CONTENT = "kedro_cloud_content"
"""Tag of schedules: hash of the job's content."""
_DIGITS = 12
"""Hexadecimal digits of the hash in the tag."""


@dataclass(frozen=True)
class ScheduleSummary:
    """Summary of a schedule.

    Attributes:
        name: Name of the schedule.
        pipeline: Pipeline that it starts; "" if `kedro cloud schedule` did not create it.
        cron: Cron expression; "" for another kind of trigger.
        time_zone: Windows name of its time zone.
        enabled: Whether it starts jobs; else it is paused.
        missing_clusters: Clusters of its steps that no longer exist.
    """

    name: str
    pipeline: str
    cron: str
    time_zone: str
    enabled: bool
    missing_clusters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schedules:
    """The schedules of a workspace."""

    client: MLClient

    def list_summaries(self) -> Iterator[ScheduleSummary]:
        """Yield a summary of each schedule, sorted by name."""
        schedules = sorted(self._list(), key=lambda schedule: str(schedule.name))
        clusters = {each.name for each in self.client.compute.list()} if schedules else set()
        for schedule in schedules:
            trigger: Any = schedule.trigger
            yield ScheduleSummary(
                str(schedule.name),
                _pipeline(schedule),
                str(getattr(trigger, "expression", "") or ""),
                str(getattr(trigger, "time_zone", "") or ""),
                bool(schedule.is_enabled),
                tuple(sorted(_clusters(schedule) - clusters)),
            )

    def plan_update(
        self, name: str, compiled: CompiledPipeline, cron: str, time_zone: str
    ) -> Change:
        """Return the change that creates or updates a schedule; `cron` is normalized.

        Raises:
            ValueError: The name belongs to another schedule, or the pipeline has one already.
        """
        existing = self._find(name)
        if existing is not None and _pipeline(existing) != compiled.pipeline:
            raise ValueError(
                f"schedule '{name}' exists and starts pipeline '{_pipeline(existing)}'; use "
                f"another --name, or remove it: kedro cloud schedule remove {name}"
            )
        self._check_single(name, compiled.pipeline)
        content = compiled.content[:_DIGITS]

        def apply() -> None:
            from azure.ai.ml.entities import CronTrigger, JobSchedule

            tags = {TAG: compiled.pipeline, _CONTENT: content}
            schedule = JobSchedule(
                name=name,
                display_name=name,
                description=f"Starts the Kedro pipeline {compiled.pipeline}",
                trigger=CronTrigger(expression=cron, time_zone=time_zone),
                create_job=compiled.job(tags),
                tags=tags,
                is_enabled=None if existing is None else existing.is_enabled,  # keep a pause
            )
            with hide_warnings():
                self.client.schedules.begin_create_or_update(schedule).result()

        description = f"{compiled.pipeline} at '{cron}' {time_zone}"
        if existing is None:
            return Change(NEW, "schedule", name, description, apply)
        differences = find_differences(
            {
                "cron": (existing.trigger.expression, cron),
                "time zone": (existing.trigger.time_zone, time_zone),
                "content": (existing.tags.get(_CONTENT, ""), content),
            }
        )
        if not differences and existing.provisioning_state != "Failed":
            return Change(SAME, "schedule", name, description)
        detail = ", ".join(differences.values()) or "the last update failed"
        return Change(OTHER, "schedule", name, detail, apply)

    def plan_switch(self, name: str, enabled: bool) -> Change:
        """Return the change that pauses or resumes a schedule.

        Raises:
            ValueError: The schedule does not exist, was not created by `kedro cloud schedule`, or
                the pipeline now has another one that is enabled.
        """
        existing = self._find(name)
        if existing is None:
            names = ", ".join(sorted(str(each.name) for each in self._list())) or "none"
            raise ValueError(f"schedule '{name}' does not exist; expected one of {names}")
        detail = "resumed" if enabled else "paused"
        if bool(existing.is_enabled) == enabled:
            return Change(SAME, "schedule", name, f"is {detail} already")
        if enabled:
            self._check_single(name, _pipeline(existing))
        operations = self.client.schedules
        switch = operations.begin_enable if enabled else operations.begin_disable
        return Change(OTHER, "schedule", name, detail, lambda: switch(name).result())

    def plan_removal(self, name: str) -> Change | None:
        """Return the change that removes a schedule; None if it does not exist.

        Raises:
            ValueError: It was not created by `kedro cloud schedule`.
        """
        existing = self._find(name)
        if existing is None:
            return None

        def apply() -> None:
            if existing.is_enabled:  # Azure ML deletes only disabled ones
                self.client.schedules.begin_disable(name).result()
            self.client.schedules.begin_delete(name).result()

        return Change(GONE, "schedule", name, _pipeline(existing), apply)

    def _find(self, name: str) -> Any:
        """Return a schedule, or None; raise ValueError if another tool created it."""
        existing = get_or_none(self.client.schedules.get, name)
        if existing is not None and not _pipeline(existing):
            raise ValueError(
                f"schedule '{name}' was not created by kedro cloud; inspect it with az ml schedule "
                f"show --name {name}, or use another --name"
            )
        return existing

    def _list(self) -> list[Any]:
        from azure.ai.ml.constants import ListViewType

        with hide_warnings():
            return list(self.client.schedules.list(list_view_type=ListViewType.ALL))

    def _check_single(self, name: str, pipeline: str) -> None:
        for other in self._list():
            if _pipeline(other) == pipeline and other.name != name and other.is_enabled:
                raise ValueError(
                    f"pipeline '{pipeline}' is scheduled already, as '{other.name}', and jobs of "
                    f"two schedules would overlap; change that one (--name {other.name}), or "
                    f"remove it: kedro cloud schedule remove {other.name}"
                )


def _pipeline(schedule: Any) -> str:
    return str((schedule.tags or {}).get(TAG, ""))


def _clusters(schedule: Any) -> set[str]:
    """Return the names of the clusters that the steps of a schedule's job run on."""
    steps = getattr(getattr(schedule, "create_job", None), "jobs", None) or {}
    computes = (str(getattr(step, "compute", None) or "") for step in steps.values())
    return {name.removeprefix("azureml:").rpartition("/")[2] for name in computes if name}
