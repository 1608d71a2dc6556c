"""Stylize a video end to end with one rank, and with two of which one is killed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from quartet.style.check import check_video
from quartet.style.probe import plan_video
from support import clean_environment, make_workspace, on_ranks, read_metrics

TRANSFER = ["run", "--pipelines", "style_transfer"]
OUTPUT = "data/07_model_output/style/stylized"


@pytest.fixture
def project(tmp_path):
    return make_workspace(tmp_path)


def test_sample_is_stylized_completely(trained_workspace):
    source = trained_workspace / "data/01_raw/style/sample.mp4"
    target = trained_workspace / OUTPUT / "sample_starry_night.mp4"
    check_video(target, plan_video(source, 64))
    found = read_metrics(trained_workspace, "style_transfer")
    assert found["frames_in"] == found["frames_out"] == 100
    assert found["duration_difference_s"] == 0
    assert found["tracks_copied"] == 1
    for name in ("frames_per_s", "network_frames_per_s", "flicker", "warping_error"):
        assert found[name] > 0


def transfer(project, ranks):
    return subprocess.Popen(
        on_ranks(ranks, "-m", "kedro", *TRANSFER, "--params", "style_transfer.segment_frames=8"),
        cwd=project,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_two_ranks_give_the_video_of_one_also_after_a_killed_rank(project):
    target = project / OUTPUT / "sample_starry_night.mp4"
    with transfer(project, 1) as process:
        errors = process.stderr.read().decode()
    assert process.returncode == 0, errors
    assert read_metrics(project, "style_transfer")["segments"] >= 12
    expected = target.read_bytes()
    target.unlink()
    segments = project / "data/07_model_output/style/segments"
    with transfer(project, 2) as process:
        # Many segments remain when the first is seen: the rank is killed long before the last.
        while not list(segments.rglob("[!.]*.mp4")):
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        errors = process.stderr.read().decode()
    assert process.returncode != 0, errors
    assert not target.exists()
    kept = list(segments.rglob("[!.]*.mp4"))
    with transfer(project, 2) as process:
        errors = process.stderr.read().decode()
    assert process.returncode == 0, errors
    found = read_metrics(project, "style_transfer")
    assert found["ranks"] == 2
    assert found["segments_stylized"] == found["segments"] - len(kept)
    assert target.read_bytes() == expected
