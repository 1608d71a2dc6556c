"""The form of the style network for a GPU, computed on the CPU, and the script that measures it."""

import json
import subprocess
import sys

import pytest
import torch

from quartet.style.gpu import GpuNetwork
from quartet.style.inference import is_uniform
from style.test_inference import network, reference, scene
from support import ROOT

CPU = torch.device("cpu")
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


def run(made, pictures, dtype):
    with torch.inference_mode():
        return GpuNetwork(made, CPU, dtype)(pictures)


@pytest.mark.parametrize("size", [(24, 24), (64, 96), (50, 90), (33, 40), (61, 35)])
def test_equals_the_published_layout(size):
    made, pictures = network(), scene(*size, 2)
    expected = reference(made, pictures)
    difference = (run(made, pictures, torch.float32).int() - expected.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.001
    assert expected.float().std() > 5


def test_lower_precision_is_within_two_levels():
    made, pictures = network(), scene(64, 96)
    difference = run(made, pictures, torch.bfloat16).float() - reference(made, pictures).float()
    assert difference.square().mean().sqrt() < 2


def test_a_picture_does_not_depend_on_its_batch():
    made, pictures = network(), scene(40, 52, 2)
    together, alone = (run(made, each, torch.bfloat16) for each in (pictures, pictures[1:]))
    assert torch.equal(together[1:], alone)


def test_a_uniform_picture_is_stylized_in_float32():
    made, pictures = network(), torch.full((1, 40, 52, 3), 31, dtype=torch.uint8)
    assert is_uniform(pictures[0])
    stylized = GpuNetwork(made, CPU, torch.bfloat16).stylize_exactly(pictures[0])
    assert torch.equal(stylized, reference(made, pictures)[0])
    pictures[0, -1, -1, 2] = 32
    assert not is_uniform(pictures[0])


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
