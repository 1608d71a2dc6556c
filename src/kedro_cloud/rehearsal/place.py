"""The folder in which jobs are rehearsed: a small cloud of one's own."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kedro_cloud.rehearsal.folders import remove


@dataclass(frozen=True)
class RehearsalDir:
    """What all rehearsals in a folder share, as all jobs of a workspace share its storage.

    Attributes:
        folder: Absolute path, `rehearsals/` in a project. It is made when needed.
    """

    folder: Path

    @property
    def blobs(self) -> Path:
        """Where the storage account's blobs are kept."""
        return self.folder / "blob"

    @property
    def tracking(self) -> str:
        """Address of the MLflow server, for `MLFLOW_TRACKING_URI`."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps files."""
        return self.folder / "mlartifacts"

    @property
    def snapshot(self) -> Path:
        """The code as it was uploaded last."""
        return self.folder / "code"

    def reports(self, job: str) -> Path:
        """Where a job's reports are fetched to."""
        return self.folder / "reports" / _plain(job)

    def run(self, job: str) -> Path:
        """The folder of a job's last rehearsal."""
        return self.folder / "runs" / _plain(job)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other rehearsals out of this place.

        Raises:
            ValueError: Another one is at work here.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise ValueError(
                    f"another rehearsal is at work in {self.folder} (process {lock.read()}); "
                    "wait until it ends"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def clear(self) -> None:
        """Remove all that rehearsals have left here; the caller holds the lock."""
        for path in self.folder.iterdir():
            if path.name != ".lock":
                remove(path)


def _plain(name: str) -> str:
    """A name that is one for a folder as well."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "job"
