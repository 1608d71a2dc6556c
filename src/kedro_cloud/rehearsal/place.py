"""Define the layout of the folder in which jobs are rehearsed."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kedro_cloud.rehearsal.folders import remove_path


@dataclass(frozen=True)
class RehearsalDir:
    """Folder that all rehearsals of a project share, as jobs share the storage of a workspace.

    Attributes:
        folder: Absolute path, `rehearsals/` in a project; created when needed.
    """

    folder: Path

    @property
    def blobs(self) -> Path:
        """Return the folder of the storage account's blobs."""
        return self.folder / "blob"

    @property
    def tracking(self) -> str:
        """Return the URI of the tracking database, for `MLFLOW_TRACKING_URI`."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Return the folder of MLflow's artifacts."""
        return self.folder / "mlartifacts"

    @property
    def snapshot(self) -> Path:
        """Return the folder with the last code snapshot."""
        return self.folder / "code"

    def reports(self, job: str) -> Path:
        """Return the folder for a job's downloaded reports."""
        return self.folder / "reports" / _folder_name(job)

    def run(self, job: str) -> Path:
        """Return the folder of a job's last rehearsal."""
        return self.folder / "runs" / _folder_name(job)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against other rehearsals.

        Raises:
            ValueError: Another rehearsal is running in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ValueError(
                    f"another rehearsal is running in {self.folder} (process {file.read()}); "
                    "wait until it ends"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def clear(self) -> None:
        """Remove the files of all rehearsals; the caller holds the lock."""
        for path in self.folder.iterdir():
            if path.name != ".lock":
                remove_path(path)


def _folder_name(name: str) -> str:
    """Return a name without characters that are invalid in a path."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "job"
