"""What a job finds around it: blob storage with the samples, a database, a way to its reports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quartet.azure import azurite
from quartet.azure.rehearsal.account import SCHEME, BlobFolder, Storage, Upload
from quartet.azure.rehearsal.place import Place
from quartet.azure.rehearsal.rehearsing import Report
from quartet.datasets.lineage import JOB

_DATABASE = "QUARTET_SENSOR_DATABASE"
_OF_DATABASE = (_DATABASE, "QUARTET_SQL_USER", "QUARTET_SQL_PASSWORD")


@dataclass(frozen=True)
class Cloud:
    """Azurite and a database in a place, for one project and environment."""

    project: Path
    env: str
    place: Place
    connection_string: str = field(repr=False)

    @classmethod
    @contextmanager
    def started(cls, project: Path, env: str, place: Place) -> Iterator[Cloud]:
        """Start Azurite on the place's blobs, and stop it in the end.

        Raises:
            OSError: There is no Azurite, or it does not start.
        """
        with azurite.running(place.blobs) as emulator:
            yield cls(project, env, place, emulator.connection_string)

    def environment(self) -> dict[str, str]:
        """What steps are told: the storage, and the database, which the caller may choose."""
        chosen = {name: os.environ[name] for name in _OF_DATABASE if name in os.environ}
        database = chosen if _DATABASE in chosen else {_DATABASE: self.place.sensors}
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection_string, **database}

    def fill(self, uploads: Sequence[Upload]) -> Iterator[str]:
        """Make the environment's containers, upload the samples and more; tells what it did.

        The samples are what the local roots `raw`, and `style` in `models`, hold.
        """
        here, there = roots(self.project, "base"), roots(self.project, self.env)
        storage = Storage(self.connection_string)
        samples = [
            Upload(self.project / here["raw"], BlobFolder.of(there["raw"]), sample=True),
            Upload(
                self.project / here["models"] / "style",
                BlobFolder.of(there["models"]) / "style",
                sample=True,
                pattern="*.*",
            ),
        ]
        wanted = [BlobFolder.of(root) for root in there.values() if root.startswith(SCHEME)]
        targets = [upload.target for upload in (*samples, *uploads)]
        storage.make_containers(folder.container for folder in (*wanted, *targets))
        for upload in (*samples, *uploads):
            files, size = storage.upload(upload)
            if files:
                yield f"uploaded {files} files, {size / 10**6:.1f} MB, to {upload.target}"

    def fetch_reports(self, report: Report) -> Iterator[str]:
        """Copy the job's reports to the place; tells where they are."""
        root = roots(self.project, self.env, **{JOB: report.run_id})["reporting"]
        if not root.startswith(SCHEME):
            return
        target = self.place.reports(report.job.name)
        shutil.rmtree(target, ignore_errors=True)
        storage, folder = Storage(self.connection_string), BlobFolder.of(root)
        found = storage.download(folder / report.job.name, target)
        if not found and report.run_id in root:  # of several pipelines that are one job
            found = storage.download(folder, target)
        if found:
            yield f"reports: {os.path.relpath(target)}"
            for metrics in sorted(target.rglob("metrics.json")):
                yield f"metrics: {os.path.relpath(metrics)}"


def roots(project: Path, env: str, **variables: str) -> dict[str, str]:
    """Where things lie in an environment, from its `globals.yml`.

    Args:
        project: Its folder.
        env: Folder of `conf`.
        variables: Environment variables that the file may ask for.
    """
    from quartet import configuration

    with _surroundings(variables):  # the resolvers of settings.py ask the process
        found = dict(configuration.loader(project, env)["globals"])
    return {name: value for name, value in found.items() if isinstance(value, str)}


@contextmanager
def _surroundings(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
