"""The reference documents every node, dataset, parameter and metric of a pipeline."""

import re
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import PAGE_OF, built, reference_of, tables
from kedro_cloud.jobs.steps import TAG, step_name
from quartet.pipeline_registry import SAMPLE_RUN
from support import ROOT, read_metrics


def test_every_pipeline_has_its_page_of_the_reference() -> None:
    folders = {path.parent.name for path in (ROOT / "conf/base").glob("*/catalog.yml")}
    assert folders == PAGE_OF.keys()


def assert_all_are_named(names: Collection[str], text: str) -> None:
    """Check that there are names, and that the text has each of them in backticks."""
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_names_every_dataset_of_the_catalog(pipeline: str) -> None:
    text = reference_of(pipeline)
    catalog = yaml.safe_load(
        (ROOT / f"conf/base/{pipeline}/catalog.yml").read_text(encoding="utf-8")
    )
    names = [name for name in catalog if not name.startswith("_")]
    assert_all_are_named(names, text)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "conf/base").glob("*/parameters.yml")),
    ids=lambda path: path.parent.name,
)
def test_reference_names_every_entry_of_the_parameters(path: Path) -> None:
    text = reference_of(path.parent.name)
    names = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert_all_are_named(names, text)


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_reference_explains_every_metric_of_a_run(pipeline: str, trained_workspace: Path) -> None:
    text = reference_of(pipeline)
    assert_all_are_named(read_metrics(trained_workspace, pipeline), text)


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_lists_nodes_in_order_with_step_and_tags(pipeline: str, site: Path) -> None:
    nodes = nodes_of(pipeline)
    rows = rows_of(site, pipeline, "Node", "Task")
    assert [row[0] for row in rows] == [f"{pipeline}.{node.name}" for node in nodes]
    for (_, task, step, tags), node in zip(rows, nodes, strict=True):
        assert task == node.func.__doc__.split("\n\n")[0].replace("`", "").strip()
        assert step == step_name(node)
        others = sorted(tag for tag in node.tags if not tag.startswith(TAG))
        assert tags == ", ".join(others)


@pytest.mark.parametrize("pipeline", PAGE_OF)
def test_reference_has_the_location_of_every_dataset_in_both_environments(
    pipeline: str, site: Path
) -> None:
    nodes = nodes_of(pipeline)
    used = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    rows = rows_of(site, pipeline, "Dataset", "Type")
    assert {row[0] for row in rows} == {name for name in used if not name.startswith("params:")}
    entries = yaml.safe_load((ROOT / f"conf/base/{pipeline}/catalog.yml").read_text("utf-8"))
    own = ROOT / f"conf/azureml/{pipeline}/catalog.yml"
    passed_on = yaml.safe_load(own.read_text("utf-8")) if own.exists() else {}
    for name, kind, layer, places in rows:
        here, _, there = places.partition(" / ")
        assert here
        assert "$" not in here + there
        if name in entries:  # others are in another pipeline's catalog
            assert entries[name]["type"].endswith(kind.split(" of ")[0])
            assert layer == entries[name]["metadata"]["kedro-viz"]["layer"]
        if name in passed_on:
            file = passed_on[name]["dataset"]["filepath"]
            assert there == f"the step's folder: {file}"
        elif here.startswith("data/"):
            assert there.startswith("abfs://")


def nodes_of(pipeline: str) -> list[Any]:
    """Return a pipeline's nodes in the order of execution."""
    return import_module(f"quartet.pipelines.{pipeline}").create_pipeline().nodes


def rows_of(site: Path, pipeline: str, *header: str) -> list[list[str]]:
    """Return the rows of the table below the heading `Nodes and paths` of a pipeline."""
    parts = re.split(r"<h[23] id=", built(site, PAGE_OF[pipeline]))
    of_several = f"Nodes and paths of <code>{pipeline}</code>"
    alone = "Nodes and paths<"
    part = next(text for text in parts if of_several in text or alone in text)
    part = re.sub(r"<br ?/?>", " / ", part)
    return next(t[1:] for t in tables(part) if tuple(t[0][: len(header)]) == header)
