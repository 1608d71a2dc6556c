"""The script for a GPU runs where there is none, by the same path."""

import json
import subprocess
import sys

import pytest

from support import ROOT

SCRIPT = ROOT / "tests/benchmarks/gpu.py"
SMALL = ["--sizes", "96x64", "90x50", "--widths", "4", "--seconds", "0.05"]
SHORT = ["--video-frames", "64", "--ranks", "2"]
WITHOUT_LIBRARIES = (
    "import sys, runpy, importlib.util as util\n"
    "for name in ('av', 'lazy_loader', 'PIL', 'psutil', 'pydantic', 'quartet', 'tqdm'):\n"
    "    sys.modules[name] = None\n"
    "sys.argv = sys.argv[1:]\n"
    "find = util.find_spec\n"
    "util.find_spec = lambda name: None if name == 'av' else find(name)\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n"
)


@pytest.mark.parametrize("libraries", ["all", "those of a PyTorch image"])
def test_benchmark_reports_each_size(libraries):
    prefix = [] if libraries == "all" else ["-c", WITHOUT_LIBRARIES]
    command = [sys.executable, *prefix, str(SCRIPT), *SMALL, *SHORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    header, *rows = map(json.loads, done.stdout.splitlines())
    assert header["bandwidth_gb_per_s"] > 0
    assert [row["frame"] for row in rows] == ["96×64", "90×50"]
    for row in rows:
        assert row["bare_frames_per_s"] > 0
        assert row["memory_to_memory_frames_per_s"] > 0
        assert 0 < row["bandwidth_floor_share"] < 1
        assert row["within_two_levels"]
        assert ("pipeline_frames_per_s" in row) == (libraries == "all")
