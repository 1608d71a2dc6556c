"""Kill runs at random times, run them again, and compare with undisturbed runs.

`python tests/e2e/kill_runs.py --kills 40 --seed 1` prints a line for each kill; `--pipelines`
chooses some. It exits with 1 if a second run fails, hangs, differs or leaves a run under way.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from damage import make_video
from style_inputs import random_vgg, stripes
from support import QUICK, clean_environment, drop_times, make_workspace

VIDEO = "data/01_raw/style/short.mp4"
PARAMETERS = {
    "mnist_training": f"{QUICK},regularisation_sweep.max_passes=20",
    "faq_tuning": "faq_study_settings.trials=6",
    "style_training": (
        "painting=stripes.png,vgg_weights=vgg.pth,style_training.steps=2,style_training.width=4,"
        "style_training.crop=64,style_training.painting_side=64,style_training.preview_every=1,"
        "style_training.verify_vgg=false"
    ),
    "style_transfer": f"video={VIDEO}",
}
NEEDS: dict[str, tuple[str, ...]] = {
    "mnist_training": (),
    "faq_ingestion": (),
    "sensor_ingestion": (),
    "style_transfer": (),
    "style_training": (),
    "sample_data": (),
    "faq_tuning": ("faq_ingestion",),
    "anomaly_training": ("sensor_ingestion",),
    "faq_matching": ("faq_ingestion", "faq_tuning"),
    "anomaly_scoring": ("sensor_ingestion", "anomaly_training"),
}
"""Each pipeline, and those that run before it."""
OF_THE_RUN = {"segments_stylized"}
"""Metrics that differ between a resumed and an uninterrupted run."""
_PATIENCE = 600


@dataclass
class Kill:
    """Results of a killed run and of the run after it.

    Attributes:
        pipeline: Its name.
        moment: Seconds from the start to the kill.
        reached: The last node that had begun.
        faults: Differences of the second run from an undisturbed run.
    """

    pipeline: str
    moment: float
    reached: str
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        outcome = "; ".join(self.faults) or "as undisturbed"
        return f"{self.pipeline:18}{self.moment:7.2f} s  {self.reached:34}{outcome}"


class Campaign:
    """A project that is killed, restored and run again, always in the same folder.

    The registry refers to files by absolute paths, so that a copy would read those of the
    original.
    """

    def __init__(self, root: Path) -> None:
        self._project = root / "project"
        self._snapshots = root / "snapshots"
        self._log = root / "log.txt"
        self._expected: dict[str, tuple[dict[str, str], float]] = {}
        self._others: dict[str, list[dict[str, str]]] = {}

    def kill(self, pipeline: str, share: float) -> Kill:
        """Kill a run after a share of its duration, run it again and compare."""
        expected, seconds = self._run_undisturbed(pipeline)
        self._restore(NEEDS[pipeline])
        moment = share * seconds
        self._run(pipeline, moment)
        kill = Kill(pipeline, moment, self._find_last_node())
        code = self._run(pipeline, _PATIENCE)
        if code != 0:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            kill.faults.append(f"run again: code {code}, {last}")
            return kill
        found = read_facts(self._project)
        names = expected.keys() | found.keys()
        different = {name for name in names if found.get(name) != expected.get(name)}
        if different:
            kill.faults += self._find_unexplained(pipeline, different, found)
        return kill

    def _run_undisturbed(self, pipeline: str) -> tuple[dict[str, str], float]:
        if pipeline not in self._expected:
            self._restore(NEEDS[pipeline])
            before = time.monotonic()
            self._succeed(pipeline)
            seconds = time.monotonic() - before
            self._expected[pipeline] = read_facts(self._project), seconds
        return self._expected[pipeline]

    def _find_unexplained(
        self, pipeline: str, names: set[str], found: dict[str, str]
    ) -> Iterator[str]:
        """Yield the differences that undisturbed runs do not have."""
        if pipeline not in self._others:
            self._restore(NEEDS[pipeline])
            self._succeed(pipeline)
            self._others[pipeline] = [read_facts(self._project)]
            self._succeed(pipeline)
            self._others[pipeline].append(read_facts(self._project))
        other, twice = self._others[pipeline]
        expected, _ = self._expected[pipeline]
        for name in sorted(names):
            is_repeatable = other.get(name) == expected.get(name)
            if is_repeatable and found.get(name) != twice.get(name):
                yield f"{name}: {found.get(name)}, expected {expected.get(name)}"

    def _restore(self, done: tuple[str, ...]) -> None:
        """Restore the project after exactly these pipelines."""
        snapshot = self._snapshots / "+".join(done or ("fresh",))
        if not snapshot.exists():
            if done:
                self._restore(done[:-1])
                self._succeed(done[-1])
            else:
                make_workspace(self._project)
                _add_inputs(self._project)
            shutil.copytree(self._project, snapshot)
        shutil.rmtree(self._project, ignore_errors=True)
        shutil.copytree(snapshot, self._project)

    def _succeed(self, pipeline: str) -> None:
        code = self._run(pipeline, _PATIENCE)
        if code != 0:
            raise RuntimeError(f"{pipeline}, undisturbed: code {code}\n{self._log.read_text()}")

    def _run(self, pipeline: str, seconds: float) -> int:
        """Run a pipeline, and kill it with its children if it takes longer."""
        command = [sys.executable, "-m", "kedro", "run", "--pipelines", pipeline]
        if pipeline in PARAMETERS:
            command += ["--params", PARAMETERS[pipeline]]
        with (
            self._log.open("w") as log,
            subprocess.Popen(
                command,
                cwd=self._project,
                env={**clean_environment(), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode

    def _find_last_node(self) -> str:
        text = self._log.read_text(errors="replace")
        nodes = re.findall(r"Running node:\s+(\S+)", text)
        return nodes[-1] if nodes else "before the first node"


def _add_inputs(folder: Path) -> None:
    import torch
    from PIL import Image

    make_video(VIDEO, 24)(folder)
    Image.fromarray(stripes()).save(folder / "stripes.png")
    weights = {name: torch.tensor(array) for name, array in random_vgg().items()}
    torch.save(weights, folder / "vgg.pth")


def read_facts(folder: Path) -> dict[str, str]:
    """Return the results of a run: metrics without times, digests of files, versions, open runs."""
    found = {}
    for path in sorted((folder / "data").rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "metrics.json":
            metrics = drop_times(json.loads(path.read_text()))
            found |= {f"{name} {key}": str(metrics[key]) for key in metrics.keys() - OF_THE_RUN}
        elif path.is_file() and not path.name.startswith(".") and ".db" not in path.suffix:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        for name, count in database.execute("SELECT name, count(*) FROM model_versions GROUP BY 1"):
            found[f"versions of {name}"] = str(count)
        ((running,),) = database.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'")
        found["runs under way"] = str(running)
    return found


def kill_repeatedly(root: Path, kills: int, seed: int, pipelines: Sequence[str]) -> Iterator[Kill]:
    """Kill runs of the pipelines, in turn, each at a random moment."""
    chance, works = random.Random(seed), Campaign(root)
    for number in range(kills):
        yield works.kill(pipelines[number % len(pipelines)], chance.random())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pipelines", default=",".join(NEEDS), help="names, with commas between")
    options = parser.parse_args()
    faulty = 0
    with tempfile.TemporaryDirectory() as root:
        for kill in kill_repeatedly(
            Path(root), options.kills, options.seed, options.pipelines.split(",")
        ):
            print(kill, flush=True)
            faulty += bool(kill.faults)
    print(f"{options.kills} kills, {faulty} not as undisturbed")
    return int(faulty > 0)


if __name__ == "__main__":
    sys.exit(main())
