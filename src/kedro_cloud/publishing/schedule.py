"""Create, list, pause and remove the schedules of a workspace.

Azure ML starts scheduled jobs even while the previous one is running: a pipeline whose runs must
not overlap has to claim its data itself. A pipeline has at most one enabled schedule.
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
"""Tag of schedules: hash of the job's content."""
_DIGITS = 12


@dataclass(frozen=True)
class Scheduled:
    """Summary of a schedule.

    Attributes:
        name: Name of the schedule.
        pipeline: Pipeline that it starts; "" if `kedro cloud schedule` did not create it.
        cron: Cron expression; "" for another kind of trigger.
        time_zone: Windows name of its time zone.
        enabled: Whether it starts jobs; else it is paused.
        lost: Clusters of its steps that no longer exist.
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
        client: Client of the workspace.
    """

    client: MLClient

    def listed(self) -> Iterator[Scheduled]:
        """Yield all schedules, sorted by name."""
        schedules = sorted(self._list(), key=lambda schedule: str(schedule.name))
        clusters = {each.name for each in self.client.compute.list()} if schedules else set()
        for schedule in schedules:
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
        """Return the change that creates or updates a schedule.

        Args:
            name: Name of the schedule.
            compiled: Pipeline that it starts.
            cron: Cron expression, as `cron.checked_cron` returns it.
            time_zone: Windows name of the time zone.

        Raises:
            ValueError: The name belongs to another schedule, or the pipeline has one already.
        """
        existing = found(self.client.schedules.get, name)
        if existing is not None:
            _check_owner(existing)
            if _pipeline(existing) != compiled.pipeline:
                raise ValueError(
                    f"schedule '{name}' is there and starts pipeline '{_pipeline(existing)}'; say "
                    f"another --name, or remove it: kedro cloud schedule remove {name}"
                )
        self._check_single(name, compiled.pipeline)
        target = {
            "cron": cron,
            "time zone": time_zone,
            "content": compiled.content[:_DIGITS],
        }
        apply = self._applier(name, compiled, cron, time_zone, existing)
        if existing is None:
            return Change(
                NEW, "schedule", name, f"{compiled.pipeline} at '{cron}' {time_zone}", apply
            )
        before = {
            "cron": str(existing.trigger.expression),
            "time zone": str(existing.trigger.time_zone),
            "content": existing.tags.get(_CONTENT, ""),
        }
        differences = [
            f"{part} {before[part]} → {target[part]}"
            for part in target
            if before[part] != target[part]
        ]
        if not differences and existing.provisioning_state != "Failed":
            return Change(SAME, "schedule", name, f"{compiled.pipeline} at '{cron}' {time_zone}")
        return Change(OTHER, "schedule", name, ", ".join(differences) or "had failed", apply)

    def switched(self, name: str, enabled: bool) -> Change:
        """Return the change that pauses or resumes a schedule.

        Raises:
            ValueError: The schedule does not exist, was not created by `kedro cloud schedule`, or
                the pipeline now has another one that is enabled.
        """
        existing = self._get(name)
        detail = "goes on" if enabled else "is paused"
        if bool(existing.is_enabled) == enabled:
            return Change(SAME, "schedule", name, f"{detail} already")
        if enabled:
            self._check_single(name, _pipeline(existing))
        operations = self.client.schedules
        switch = operations.begin_enable if enabled else operations.begin_disable
        return Change(OTHER, "schedule", name, detail, lambda: switch(name).result())

    def removed(self, name: str) -> Change | None:
        """Return the change that removes a schedule; None if it does not exist.

        Raises:
            ValueError: It was not created by `kedro cloud schedule`.
        """
        existing = found(self.client.schedules.get, name)
        if existing is None:
            return None
        _check_owner(existing)
        return Change("-", "schedule", name, _pipeline(existing), lambda: self._remove(name))

    def _remove(self, name: str) -> None:
        if self.client.schedules.get(name).is_enabled:  # Azure ML deletes only disabled ones
            self.client.schedules.begin_disable(name).result()
        self.client.schedules.begin_delete(name).result()

    def _get(self, name: str) -> JobSchedule:
        existing = found(self.client.schedules.get, name)
        if existing is None:
            names = ", ".join(sorted(str(each.name) for each in self._list())) or "none"
            raise ValueError(f"there is no schedule '{name}'; there are: {names}")
        _check_owner(existing)
        schedule: JobSchedule = existing
        return schedule

    def _list(self) -> list[Any]:
        from azure.ai.ml.constants import ListViewType

        with quietly():
            return list(self.client.schedules.list(list_view_type=ListViewType.ALL))

    def _check_single(self, name: str, pipeline: str) -> None:
        for other in self._list():
            if _pipeline(other) == pipeline and other.name != name and other.is_enabled:
                raise ValueError(
                    f"pipeline '{pipeline}' is scheduled already, as '{other.name}', and the jobs "
                    f"of two schedules would overlap; change that one (--name {other.name}), or "
                    f"remove it: kedro cloud schedule remove {other.name}"
                )

    def _applier(
        self, name: str, compiled: Compiled, cron: str, time_zone: str, existing: Any
    ) -> Callable[[], Any]:
        from azure.ai.ml.entities import CronTrigger, JobSchedule

        def apply() -> None:
            tags = {TAG: compiled.pipeline, _CONTENT: compiled.content[:_DIGITS]}
            schedule = JobSchedule(
                name=name,
                display_name=name,
                description=f"Starts the Kedro pipeline {compiled.pipeline}",
                trigger=CronTrigger(expression=cron, time_zone=time_zone),
                create_job=compiled.job(tags),
                tags=tags,
                is_enabled=None if existing is None else existing.is_enabled,  # keep a pause
            )
            with quietly():
                self.client.schedules.begin_create_or_update(schedule).result()

        return apply


def _pipeline(schedule: Any) -> str:
    return str((schedule.tags or {}).get(TAG, ""))


def _check_owner(schedule: Any) -> None:
    if not _pipeline(schedule):
        raise ValueError(
            f"schedule '{schedule.name}' was not made by this command; see to it with "
            f"az ml schedule show --name {schedule.name}, or say another --name"
        )


def _clusters(schedule: Any) -> set[str]:
    """Return the names of the clusters that the steps of a schedule's job run on."""
    steps = getattr(getattr(schedule, "create_job", None), "jobs", None) or {}
    computes = (str(getattr(step, "compute", None) or "") for step in steps.values())
    return {name.removeprefix("azureml:").rpartition("/")[2] for name in computes if name}
