"""The committed sample must be remade byte for byte, or nobody can trust where it came from."""

from support import ROOT, run_kedro


def test_the_committed_sample_is_what_the_pipeline_makes(workspace):
    folder = workspace / "data/01_raw/mnist"
    for path in folder.iterdir():
        path.unlink()
    result = run_kedro(workspace, "run", "--pipelines", "sample_data")
    assert result.returncode == 0, result.stderr
    committed = {path.name: path.read_bytes() for path in (ROOT / "data/01_raw/mnist").iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == committed
    assert len(committed) == 4
