"""A packaged project runs where only the package and its configuration are."""

import shutil
import sys
import tarfile

import pytest

from support import ROOT, clean_environment, run_program

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a folder with what `kedro package` makes: the packages, and an archive of `conf`."""
    folder = tmp_path_factory.mktemp("packaged")
    for package in ("quartet", "kedro_cloud"):
        shutil.copytree(ROOT / "src" / package, folder / "site" / package)
    with tarfile.open(folder / "conf.tar.gz", "w:gz") as archive:
        archive.add(ROOT / "conf", "conf", lambda file: None if "local/" in file.name else file)
    return folder


def run_package(installed, folder, *arguments):
    command = (sys.executable, "-m", "quartet", f"--conf-source={installed / 'conf.tar.gz'}")
    environment = {**clean_environment(), "PYTHONPATH": str(installed / "site")}
    return run_program(*command, *arguments, folder=folder, environment=environment)


def test_package_runs_a_pipeline_and_writes_below_the_working_folder(installed, tmp_path):
    shutil.copytree(ROOT / "data/01_raw/sensors", tmp_path / "data/01_raw/sensors")
    result = run_package(installed, tmp_path, "--pipelines=sensor_ingestion")
    assert result.returncode == 0, result.stderr
    assert "\nsensor_ingestion, done in " in result.stdout
    assert (tmp_path / "data/08_reporting/sensor_ingestion/metrics.json").exists()
    assert "anonymous usage data" not in result.stdout + result.stderr


def test_package_reports_an_unknown_pipeline_in_one_line(installed, tmp_path):
    result = run_package(installed, tmp_path, "--pipelines=nope")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("Error: pipeline 'nope' does not exist")
    assert "Traceback" not in result.stderr
