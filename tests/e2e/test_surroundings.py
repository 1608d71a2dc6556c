"""Results do not depend on the path, locale, time zone, network or number of cores."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from damage import make_video, remove
from support import QUICK, clean_environment, drop_times, read_metrics, run_program, skip_or_fail

PIPELINES = (
    "mnist_training",
    "faq_matching",
    *("sensor_ingestion", "anomaly_training", "anomaly_scoring"),
    "style_transfer",
)
VIDEO = "data/01_raw/style/short.mp4"
LIGHT = f"{QUICK},regularisation_sweep.max_passes=20,video={VIDEO}"
RUN = ("run", "--pipelines", ",".join(PIPELINES), "--params", LIGHT)
DATABASE = "data/03_primary/sensors/sensors.db"
KEDRO = str(Path(sys.executable).parent / "kedro")
PREDICTED = "data/07_model_output/sensors/predictions"

SURROUNDINGS = {
    "no home": {"HOME": "/dev/null/home"},
    "another time zone": {"TZ": "Asia/Kathmandu"},
    "no UTF-8 mode": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
    "warnings that are errors": {"PYTHONWARNINGS": "error::DeprecationWarning:quartet"},
    "one core": {},
    "no network": {},
    "files for oneself only": {},
}
"""Environment variables by difference; `run_kedro_with` applies those without any."""
PLACES = {
    "with spaces, naïve, 100% & #1": (("no home", "another time zone", "one core"), "."),
    "project": (
        ("no network", "files for oneself only", "no UTF-8 mode", "warnings that are errors"),
        "src/quartet",
    ),
}
"""By name of the project's folder: differences, and the folder of the command."""


def copy_project(trained, folder):
    """Copy a project without results of the sensors and with a short video."""
    shutil.copytree(trained, folder)
    remove("data/03_primary/sensors")(folder)
    remove("data/02_intermediate/sensors")(folder)
    remove("data/07_model_output/sensors")(folder)
    make_video(VIDEO, 12)(folder)
    return folder


def run_kedro_with(folder, *arguments, differences=(), below="."):
    """Run `kedro` in a folder of the project with the named differences."""
    command = [KEDRO, *arguments]
    environment = clean_environment()
    for name in differences:
        environment |= SURROUNDINGS[name]
    if "one core" in differences:
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    if "no network" in differences:
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up 2>&-; exec "$@"', "-", *command]
    return subprocess.run(
        command,
        cwd=folder / below,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077 if "files for oneself only" in differences else -1,
    )


def find_culprits(folder, differences):
    """Return the differences that make a short run fail by themselves."""
    light = ("run", "--pipelines", "faq_matching")
    alone = {name: run_kedro_with(folder, *light, differences=[name]) for name in differences}
    return [name for name, result in alone.items() if result.returncode] or "only all of them"


def results(folder):
    """Return the metrics without times, and the contents of the predictions."""
    found = {}
    for pipeline in PIPELINES:
        for name, value in drop_times(read_metrics(folder, pipeline)).items():
            found[f"{pipeline} {name}"] = value
    for path in sorted((folder / PREDICTED).rglob("*.parquet")):
        found[str(path.relative_to(folder))] = path.read_bytes()
    found["matches"] = (folder / "data/07_model_output/faq/matches.parquet").read_bytes()
    return found


def are_equal(one, other):
    """Return whether bytes are equal and numbers agree except for rounding."""
    return one == (other if isinstance(other, bytes) else pytest.approx(other, rel=1e-4))


def succeeds(*command):
    return shutil.which(command[0]) and subprocess.run(command, check=False).returncode == 0


@pytest.mark.integration
def test_results_do_not_depend_on_the_environment(trained_workspace, tmp_path):
    """Two runs whose environments have nothing in common give the same results."""
    if not succeeds("taskset", "-c", "0", "true"):
        skip_or_fail("no taskset here: apt-get install util-linux")
    if not succeeds("unshare", "-n", "true"):
        skip_or_fail("no right to take the network away: run the tests as root")
    found = []
    for name, (differences, below) in PLACES.items():
        folder = copy_project(trained_workspace, tmp_path / name)
        result = run_kedro_with(folder, *RUN, differences=differences, below=below)
        if result.returncode:
            pytest.fail(f"{find_culprits(folder, differences)}: {result.stderr[-3000:]}")
        found.append(results(folder))
    strange, private = found
    assert strange.keys() == private.keys()
    assert [name for name in strange if not are_equal(private[name], strange[name])] == []
    made = folder / "data/08_reporting/faq_matching/metrics.json"
    assert made.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [("run",), ("fetch", "mnist"), ("cloud", "plan")])
def test_commands_outside_a_project_report_that_it_is_missing(tmp_path, arguments):
    result = run_kedro_with(tmp_path, *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "project not found" in result.stdout + result.stderr


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_closed_pipe_shows_no_traceback(trained_workspace, reader):
    shown = f"'{sys.executable}' -m kedro registry list | {reader}"
    result = run_program("bash", "-c", shown, folder=trained_workspace)
    assert "Traceback" not in result.stderr, result.stderr
    assert "BrokenPipe" not in result.stderr, result.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if not succeeds("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)):
        skip_or_fail("no right to mount a small disk: run the tests as root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.integration
def test_a_full_disk_is_reported_and_old_outputs_are_kept(trained_workspace, tmp_path, small_disk):
    folder = Path(shutil.copytree(trained_workspace, tmp_path / "project"))
    (small_disk / "filler").write_bytes(bytes(1_000_000))
    root = folder / "conf/base/globals.yml"
    old = "data/06_models/mnist/logistic_weights.safetensors"
    root.write_text(
        root.read_text().replace("data${dataset_name:/}/05_model_input", str(small_disk))
    )
    before = (folder / old).read_bytes()
    result = run_kedro_with(folder, "run", "--pipelines", "mnist_training")
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.stderr
    assert "no space left on device" in line.lower()
    assert "free disk space" in line
    assert (folder / old).read_bytes() == before
