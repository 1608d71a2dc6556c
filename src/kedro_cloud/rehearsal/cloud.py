"""Provide the cloud services of a rehearsal: blob storage, samples, variables, reports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedro.framework.project import settings

from kedro_cloud.blobs import azurite
from kedro_cloud.blobs.storage import CONNECTION_STRING
from kedro_cloud.core import config
from kedro_cloud.core.cloud_settings import Rehearsal, rehearsal_settings
from kedro_cloud.core.variables import JOB
from kedro_cloud.rehearsal.account import SCHEME, Storage, Upload, parse_folder
from kedro_cloud.rehearsal.place import RehearsalDir
from kedro_cloud.rehearsal.rehearsing import RehearsalResult


@dataclass(frozen=True)
class LocalCloud:
    """Azurite in a rehearsal directory, for one project and environment.

    Attributes:
        project: Root folder of the Kedro project.
        env: Environment of the job, a folder of `conf`.
        params: Nested runtime parameters of the job, on which roots may depend.
        directory: Directory of the rehearsals.
        settings: Section `rehearsal` of cloud.yml.
        connection_string: Connection string of the storage account.
    """

    project: Path
    env: str
    params: Mapping[str, Any]
    directory: RehearsalDir
    settings: Rehearsal
    connection_string: str = field(repr=False)

    @classmethod
    @contextmanager
    def start(
        cls, project: Path, env: str, params: Mapping[str, Any], directory: RehearsalDir
    ) -> Iterator[LocalCloud]:
        """Start Azurite with the directory's blobs, and stop it at the end.

        Args are the attributes of the class.

        Raises:
            OSError: Azurite is not installed, or does not start.
            ValueError: `cloud.yml` refers to roots that `globals.yml` does not have.
        """
        rehearsal = rehearsal_settings(project, env)
        roots = (_load_roots(project, each, params) for each in (_base_environment(), env))
        rehearsal.check_roots(*roots)
        with azurite.running(directory.blobs) as connection_string:
            yield cls(project, env, params, directory, rehearsal, connection_string)

    def environment(self) -> dict[str, str]:
        """Return the steps' variables: the storage account, and those in cloud.yml."""
        folder = str(self.directory.folder)
        variables = {
            name: os.environ.get(name) or (default or "").replace("{folder}", folder)
            for name, default in self.settings.variables.items()
        }
        non_empty = {name: value for name, value in variables.items() if value}
        return {CONNECTION_STRING: self.connection_string, **non_empty}

    def fill(self, uploads: Sequence[Upload]) -> Iterator[str]:
        """Create the environment's containers, upload samples and uploads; yield log lines."""
        local, remote = self._load_roots(_base_environment()), self._load_roots(self.env)
        storage = Storage(self.connection_string)
        samples = []
        for folder, pattern in self.settings.samples.items():
            root, _, inside = folder.partition("/")
            source = self.project / local[root] / inside
            target = parse_folder(remote[root]) / inside
            samples.append(Upload(source, target, sample=True, pattern=pattern))
        folders = [parse_folder(root) for root in remote.values() if root.startswith(SCHEME)]
        targets = [upload.target for upload in (*samples, *uploads)]
        storage.make_containers(folder.parts[0] for folder in (*folders, *targets))
        for upload in (*samples, *uploads):
            files, size = storage.upload(upload)
            if files:
                yield f"uploaded {files} files, {size / 10**6:.1f} MB, to {SCHEME}{upload.target}"

    def fetch_reports(self, result: RehearsalResult) -> Iterator[str]:
        """Download the job's reports to the directory; yield their locations."""
        os.environ[JOB] = result.run_id  # the resolvers of settings.py read it, as in the steps
        root = self._load_roots(self.env).get(self.settings.reports, "")
        if not root.startswith(SCHEME):
            return
        target = self.directory.reports(result.job.name)
        shutil.rmtree(target, ignore_errors=True)
        storage, folder = Storage(self.connection_string), parse_folder(root)
        found = storage.download(folder / result.job.name, target)
        if not found and result.run_id in root:  # a job of several pipelines
            found = storage.download(folder, target)
        if found:
            yield f"reports: {os.path.relpath(target)}"
            for metrics in sorted(target.rglob("metrics.json")):
                yield f"metrics: {os.path.relpath(metrics)}"

    def _load_roots(self, env: str) -> dict[str, str]:
        return _load_roots(self.project, env, self.params)


def _base_environment() -> str:
    return str(settings.CONFIG_LOADER_ARGS.get("base_env", "base"))


def _load_roots(project: Path, env: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the roots in an environment's `globals.yml`."""
    content = config.loader(project, env, params)["globals"]
    return {name: value for name, value in content.items() if isinstance(value, str)}
