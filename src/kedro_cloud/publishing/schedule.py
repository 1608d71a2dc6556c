"""Schedules of a workspace: jobs that Azure ML starts by the clock.

Azure ML starts a job when its time has come, whether the one before has ended or not: a pipeline
whose runs must not overlap has to claim its data itself. A pipeline has one schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_cloud.publishing.component import Compiled
from kedro_cloud.publishing.endpoint import TAG
from kedro_cloud.workspace.changes import NEW, OTHER, SAME, Change, found, quietly

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import JobSchedule

_CONTENT = "kedro_cloud_content"
"""Tag: what the job is made of."""
_DIGITS = 12


@dataclass(frozen=True)
class Scheduled:
    """A schedule as somebody reads it.

    Attributes:
        name: Of the schedule.
        pipeline: That it starts; "" if `kedro cloud schedule` has not created it.
        cron: When; "" for what is no cron expression.
        time_zone: Of the times.
        enabled: Whether it starts jobs, or is paused.
        lost: Clusters of its steps that are not there any more.
    """

    name: str
    pipeline: str
    cron: str
    time_zone: str
    enabled: bool
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schedules:
    """The schedules of a workspace.

    Attributes:
        client: Of the workspace.
    """

    client: MLClient

    def listed(self) -> Iterator[Scheduled]:
        """All of them, by name."""
        there = sorted(self._all(), key=lambda schedule: str(schedule.name))
        clusters = {each.name for each in self.client.compute.list()} if there else set()
        for schedule in there:
            trigger: Any = schedule.trigger
            yield Scheduled(
                str(schedule.name),
                _pipeline(schedule),
                str(getattr(trigger, "expression", "") or ""),
                str(getattr(trigger, "time_zone", "") or ""),
                bool(schedule.is_enabled),
                tuple(sorted(_clusters(schedule) - clusters)),
            )

    def created(self, name: str, compiled: Compiled, cron: str, time_zone: str) -> Change:
        """What it takes for a schedule to be there, and to be this one.

        Raises:
            ValueError: The name, or the pipeline, has another schedule.
        """
        there = found(self.client.schedules.get, name)
        if there is not None:
            _check_owner(there)
            if _pipeline(there) != compiled.pipeline:
                raise ValueError(
                    f"schedule '{name}' is there and starts pipeline '{_pipeline(there)}'; say "
                    f"another --name, or remove it: kedro cloud schedule remove {name}"
                )
        self._check_only_one(name, compiled.pipeline)
        wanted = {
            "cron": cron,
            "time zone": time_zone,
            "content": compiled.content[:_DIGITS],
        }
        make = self._maker(name, compiled, cron, time_zone, there)
        if there is None:
            return Change(
                NEW, "schedule", name, f"{compiled.pipeline} at '{cron}' {time_zone}", make
            )
        before = {
            "cron": str(there.trigger.expression),
            "time zone": str(there.trigger.time_zone),
            "content": there.tags.get(_CONTENT, ""),
        }
        differences = [
            f"{part} {before[part]} → {wanted[part]}"
            for part in wanted
            if before[part] != wanted[part]
        ]
        if not differences and there.provisioning_state != "Failed":
            return Change(SAME, "schedule", name, f"{compiled.pipeline} at '{cron}' {time_zone}")
        return Change(OTHER, "schedule", name, ", ".join(differences) or "had failed", make)

    def switched(self, name: str, enabled: bool) -> Change:
        """What it takes for a schedule to be paused, or to go on.

        Raises:
            ValueError: There is no such schedule, somebody else has made it, or the pipeline has
                got another one meanwhile.
        """
        there = self._existing(name)
        said = "goes on" if enabled else "is paused"
        if bool(there.is_enabled) == enabled:
            return Change(SAME, "schedule", name, f"{said} already")
        if enabled:
            self._check_only_one(name, _pipeline(there))
        operations = self.client.schedules
        switch = operations.begin_enable if enabled else operations.begin_disable
        return Change(OTHER, "schedule", name, said, lambda: switch(name).result())

    def removed(self, name: str) -> Change | None:
        """What it takes for a schedule not to be there; None if it is not.

        Raises:
            ValueError: Somebody else has made it.
        """
        there = found(self.client.schedules.get, name)
        if there is None:
            return None
        _check_owner(there)
        return Change("-", "schedule", name, _pipeline(there), lambda: self._remove(name))

    def _remove(self, name: str) -> None:
        if self.client.schedules.get(name).is_enabled:  # Azure ML removes none that is at work
            self.client.schedules.begin_disable(name).result()
        self.client.schedules.begin_delete(name).result()

    def _existing(self, name: str) -> JobSchedule:
        there = found(self.client.schedules.get, name)
        if there is None:
            known = ", ".join(sorted(str(each.name) for each in self._all())) or "none"
            raise ValueError(f"there is no schedule '{name}'; there are: {known}")
        _check_owner(there)
        schedule: JobSchedule = there
        return schedule

    def _all(self) -> list[Any]:
        from azure.ai.ml.constants import ListViewType

        with quietly():
            return list(self.client.schedules.list(list_view_type=ListViewType.ALL))

    def _check_only_one(self, name: str, pipeline: str) -> None:
        for other in self._all():
            if _pipeline(other) == pipeline and other.name != name and other.is_enabled:
                raise ValueError(
                    f"pipeline '{pipeline}' is scheduled already, as '{other.name}', and the jobs "
                    f"of two schedules would overlap; change that one (--name {other.name}), or "
                    f"remove it: kedro cloud schedule remove {other.name}"
                )

    def _maker(
        self, name: str, compiled: Compiled, cron: str, time_zone: str, there: Any
    ) -> Callable[[], Any]:
        from azure.ai.ml.entities import CronTrigger, JobSchedule

        def make() -> None:
            tags = {TAG: compiled.pipeline, _CONTENT: compiled.content[:_DIGITS]}
            schedule = JobSchedule(
                name=name,
                display_name=name,
                description=f"Starts the Kedro pipeline {compiled.pipeline}",
                trigger=CronTrigger(expression=cron, time_zone=time_zone),
                create_job=compiled.job(tags),
                tags=tags,
                is_enabled=None if there is None else there.is_enabled,  # a pause outlives a change
            )
            with quietly():
                self.client.schedules.begin_create_or_update(schedule).result()

        return make


def _pipeline(schedule: Any) -> str:
    return str((schedule.tags or {}).get(TAG, ""))


def _check_owner(schedule: Any) -> None:
    if not _pipeline(schedule):
        raise ValueError(
            f"schedule '{schedule.name}' was not made by this command; see to it with "
            f"az ml schedule show --name {schedule.name}, or say another --name"
        )


def _clusters(schedule: Any) -> set[str]:
    """That the steps of a schedule's job go to."""
    steps = getattr(getattr(schedule, "create_job", None), "jobs", None) or {}
    named = (str(getattr(step, "compute", None) or "") for step in steps.values())
    return {name.removeprefix("azureml:").rpartition("/")[2] for name in named if name}
