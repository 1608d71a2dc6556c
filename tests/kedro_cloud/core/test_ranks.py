"""Each item is processed by exactly one rank, and a run without MPI does not import it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kedro_cloud.core import ranks
from quartet.cli import run
from support import GUARD_S, ROOT, bootstrap, on_ranks


@pytest.fixture
def as_rank(monkeypatch):
    def become(rank, size):
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", str(rank))
        monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", str(size))

    return become


def test_a_run_without_mpi_has_one_rank():
    assert (ranks.rank(), ranks.size()) == (0, 1)
    assert ranks.broadcast({"a": 1}) == {"a": 1}
    assert ranks.gather(3) == [3]
    assert ranks.host() == "127.0.0.1"
    ranks.barrier()
    ranks.abort()


def test_a_run_without_mpi_does_not_import_mpi4py():
    code = (
        "import sys; from kedro_cloud.core import ranks as r; "
        "r.barrier(); r.broadcast(1); r.host(); sys.exit('mpi4py' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.lists(st.integers(), max_size=30), st.integers(1, 8))
def test_shards_contain_each_item_once(items, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMPI_COMM_WORLD_SIZE", str(size))
        shards = []
        for rank in range(size):
            patch.setenv("OMPI_COMM_WORLD_RANK", str(rank))
            shards.append(list(ranks.shard(items)))
    assert sorted(item for shard in shards for item in shard) == sorted(items)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_other_ranks_run_only_distributed_nodes_in_the_order_of_rank_0(tmp_path):
    """The pipeline is `zeta -> between -> alpha`, where `between` is not distributed."""
    (tmp_path / "given.json").write_text('"x"')
    (tmp_path / "other.json").write_text('"there"')
    command = on_ranks(3, str(ROOT / "tests/ranks.py"), str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=GUARD_S)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "0.txt").read_text().split() == ["zeta", "between", "alpha"]
    for rank in (1, 2):
        assert (tmp_path / f"{rank}.txt").read_text().split() == ["zeta", "alpha"]
    first = json.loads((tmp_path / "first.json").read_text())
    assert first == ["zeta of x"] * 3
    assert json.loads((tmp_path / "last.json").read_text()) == [f"alpha of {first}"] * 3


def test_another_runner_cannot_be_used_with_several_ranks(as_rank):
    bootstrap()
    as_rank(0, 2)
    result = CliRunner().invoke(run, ["--runner", "ThreadRunner"])
    assert result.exit_code == 1
    assert "remove --runner ThreadRunner" in result.output


def test_other_ranks_write_nothing(as_rank, tmp_path):
    from kedro.io import DataCatalog
    from kedro.pipeline import Node, Pipeline
    from kedro_datasets.json import JSONDataset

    from quartet.framework.hooks import DistributedHooks

    path = tmp_path / "out.json"
    pipeline = Pipeline([Node(lambda given: given, "given", "out", name="copy")])
    for rank, written in ((1, False), (0, True)):
        as_rank(rank, 2)
        catalog = DataCatalog({"out": JSONDataset(filepath=str(path))})
        DistributedHooks().before_pipeline_run(pipeline, catalog)
        catalog.save("out", [1])
        assert path.exists() == written
