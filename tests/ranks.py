"""A program for `mpirun`: each rank logs the nodes that it runs, shared and others."""

import sys
from collections.abc import Callable
from pathlib import Path

from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from kedro_cloud.core import ranks
from quartet.framework.hooks import DistributedHooks
from quartet.framework.rank_runner import RankRunner


def make_logging_function(folder: Path, name: str, shared: bool) -> Callable[[object], object]:
    """Return a node's function that writes the name into the log of its rank."""

    def function(given: object) -> object:
        with (folder / f"{ranks.rank()}.txt").open("a") as log:
            print(name, file=log)
        return ranks.gather(f"{name} of {given}") if shared else given

    return function


def main(folder: Path) -> None:
    def node(name: str, source: str, target: str, shared: bool = True) -> Node:
        tags = ranks.TAG if shared else None
        function = make_logging_function(folder, name, shared)
        return Node(function, source, target, name=name, tags=tags)

    pipeline = Pipeline(
        [
            node("zeta", "given", "first"),
            node("between", "first", "second", shared=False),
            node("alpha", "second", "last"),
            node("left_out", "given", "other"),
        ]
    )
    files = {name: JSONDataset(filepath=f"{folder}/{name}.json") for name in pipeline.datasets()}
    catalog = DataCatalog(files)
    hooks = _create_hook_manager()
    hooks.register(DistributedHooks())
    hooks.hook.before_pipeline_run(run_params={}, pipeline=pipeline, catalog=catalog)
    ranks.barrier()
    RankRunner().run(pipeline, catalog, hooks, only_missing_outputs=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
