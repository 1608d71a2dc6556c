"""The pipeline reproduces the committed samples byte for byte."""

from quartet.style.probe import plan_video
from support import ROOT, run_kedro


def test_pipeline_reproduces_the_committed_samples(workspace):
    folder = workspace / "data/01_raw/mnist"
    clip = workspace / "data/01_raw/style/sample.mp4"
    for path in (*folder.iterdir(), clip):
        path.unlink()
    result = run_kedro(workspace, "run", "--pipelines", "sample_data")
    assert result.returncode == 0, result.stderr
    committed = {path.name: path.read_bytes() for path in (ROOT / "data/01_raw/mnist").iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == committed
    assert len(committed) == 4
    # Bytes of the video may differ between processors; tests/quartet/style compares its pixels.
    made, expected = plan_video(clip, 50), plan_video(ROOT / "data/01_raw/style/sample.mp4", 50)
    assert (made.timestamps, made.width, made.height) == (
        expected.timestamps,
        expected.width,
        expected.height,
    )
    assert [track.packets for track in made.tracks] == [track.packets for track in expected.tracks]
