"""How the work on a video is started, and what is seen of it: on Azure ML, by an endpoint."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from quartet.azure.changes import found, quietly
from quartet.azure.watching.markers import Marker, State
from quartet.azure.watching.places import Video
from quartet.azure.watching.starting import Outcome, Work
from quartet.messages import describe

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_REFUSED = (400, 422)
"""Answers of an endpoint that does not take what it is given: the video's fault, not its own."""
_GONE = "Gone"
_ENDS = {"Completed": State.DONE, "Canceled": State.STOPPED} | dict.fromkeys(
    ("Failed", "NotResponding", _GONE), State.FAILED
)
"""How a job that is over ended, by what Azure ML says of it."""


class Jobs:
    """Has an endpoint start a job for each video."""

    def __init__(
        self,
        client: MLClient,
        endpoint: str,
        inputs: Mapping[str, Any],
        every: float,
    ) -> None:
        """Begin; nothing is asked yet.

        Args:
            client: Of the workspace.
            endpoint: Its name.
            inputs: What else the endpoint is told, by input: type and value.
            every: Seconds from one look at a job to the next.
        """
        self._client, self._endpoint, self._inputs = client, endpoint, inputs
        self._every = every

    def result_of(self, name: str) -> str:
        """The name of the video without its ending; results lie in one folder."""
        return name.rpartition("/")[2].rpartition(".")[0]

    def start(self, video: Video, claim: Marker) -> Work:
        """Start a job, or go on with the one that was started.

        Raises:
            AzureError: The endpoint cannot be asked, or is not there.
        """
        wanted = self._name(video, claim)
        # A watcher may have died between the start of a job and the note of it.
        if claim.job is not None or found(self._client.jobs.get, wanted) is not None:
            return JobWork(self._client, claim.job or wanted, self._every)
        try:
            return JobWork(self._client, self._invoke(video, wanted), self._every)
        except HttpResponseError as error:
            if error.status_code not in _REFUSED:
                raise
            return Refused(f"endpoint '{self._endpoint}' refused it: {describe(error)}")

    def _invoke(self, video: Video, wanted: str) -> str:
        from azure.ai.ml import Input

        inputs = {
            name: Input(type=kind, default=value) for name, (kind, value) in self._inputs.items()
        }
        inputs["video"] = Input(type="string", default=video.address)
        with quietly():
            made = self._client.batch_endpoints.invoke(
                self._endpoint, inputs=inputs, job_name=wanted
            )
        return str(made.name)

    def _name(self, video: Video, claim: Marker) -> str:
        """The same for whoever starts this attempt; another once the video was forgotten."""
        told = f"{video.address}\n{video.version}\n{claim.series}"
        key = hashlib.sha256(told.encode()).hexdigest()[:24]
        return f"watch-{key}-{claim.attempts + 1}"


class JobWork:
    """A job that works on a video."""

    goes_on_alone = True

    def __init__(self, client: MLClient, name: str, every: float) -> None:
        """Begin.

        Args:
            client: Of the workspace.
            name: Of the job.
            every: Seconds from one look at it to the next.
        """
        self.job: str | None = name
        self._client, self._name, self._every = client, name, every
        self._status = ""
        self._looked = -every

    def outcome(self) -> Outcome | None:
        """How it ended; None while it is under way."""
        if self._status not in _ENDS and time.monotonic() - self._looked >= self._every:
            self._looked = time.monotonic()
            try:
                status = self._client.jobs.get(self._name).status
                self._status = str(getattr(status, "value", status))  # some jobs have a member
            except ResourceNotFoundError:
                self._status = _GONE
        state = _ENDS.get(self._status)
        if state is None:
            return None
        why = "" if state is State.DONE else f" ended as {self._status}"
        return Outcome(state, f"job {self._name}{why}")

    def progress(self) -> str:
        """The job's name, and what Azure ML says of it."""
        return f"job {self._name} {self._status.lower()}".strip()

    def ask_to_end(self, sign: signal.Signals) -> None:
        """Leave it: it goes on."""

    def end(self) -> None:
        """Leave it: it goes on."""

    def forget(self) -> None:
        """There is nothing to give up."""


class Refused:
    """Work that nobody took."""

    goes_on_alone = False
    job = None

    def __init__(self, why: str) -> None:
        """Begin, and end at once."""
        self._why = why

    def outcome(self) -> Outcome:
        """It failed."""
        return Outcome(State.FAILED, self._why)

    def progress(self) -> str:
        """None."""
        return ""

    def ask_to_end(self, sign: signal.Signals) -> None:
        """There is nothing to end."""

    def end(self) -> None:
        """There is nothing to end."""

    def forget(self) -> None:
        """There is nothing to give up."""
