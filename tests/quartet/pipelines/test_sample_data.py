"""The pipeline `sample_data` reproduces the committed samples."""

import shutil

from quartet.style.probe import plan_video
from support import ROOT, run_kedro

FOLDERS = ("mnist", "faq", "stackexchange", "sensors")
CLIP = "style/sample.mp4"


def read_files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_pipeline_reproduces_the_committed_samples(workspace):
    raw, committed = workspace / "data/01_raw", ROOT / "data/01_raw"
    for name in FOLDERS:
        shutil.rmtree(raw / name)
    (raw / CLIP).unlink()
    result = run_kedro(workspace, "run", "--pipelines", "sample_data")
    assert result.returncode == 0, result.stderr
    for name in FOLDERS:
        expected = read_files(committed / name)
        assert len(expected) > 1
        assert read_files(raw / name) == expected
    # Bytes of the video may differ between processors; tests/quartet/style compares its pixels.
    made, expected = plan_video(raw / CLIP, 50), plan_video(committed / CLIP, 50)
    assert made.timestamps == expected.timestamps
    assert (made.width, made.height) == (expected.width, expected.height)
    assert [track.packets for track in made.tracks] == [track.packets for track in expected.tracks]
