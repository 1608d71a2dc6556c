"""Describe pipelines from their definitions and from the catalogs."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from .markdown import code, prose, table

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = ("base", "azureml")
NODES = ("Node", "Task", "Step", "Tags")
DATASETS = ("Dataset", "Type", "Layer", "Path on this machine, on Azure ML")
RUN_PARAMETERS = ("Name", "Default", "Datasets and parameters that use it")
_PLACES = ("filepath", "path", "folder", "url")
_OWN = re.compile(r"^(?:quartet|kedro_azureml)\.(?:\w+\.)*")
_RUN_PARAMETER = "${runtime_params:"


def pipeline(name: str) -> str:
    """Return tables of a pipeline's nodes, in the order they run, and of their datasets.

    Raises:
        ValueError: There is no such pipeline.
    """
    if not (CONF / "base" / name).is_dir():
        known = ", ".join(sorted(path.parent.name for path in CONF.glob("base/*/catalog.yml")))
        raise ValueError(f"no pipeline '{name}'; known: {known}")
    module = import_module(f"quartet.pipelines.{name}")
    found = module.create_pipeline()
    touched = list(dict.fromkeys(each for node in found.nodes for each in _touched(node)))
    nodes = table(NODES, (_node_row(name, node) for node in found.nodes))
    return f"{nodes}\n\n{table(DATASETS, map(_dataset_row, touched))}"


def _touched(node: Any) -> Iterator[str]:
    """Yield the datasets of a node, without parameters."""
    for name in (*node.inputs, *node.outputs):
        if not name.startswith("params:") and name != "parameters":
            yield name


def _node_row(pipeline: str, node: Any) -> tuple[str, ...]:
    from kedro_cloud.jobs.steps import TAG, step_name

    summary = (inspect.getdoc(node.func) or "").partition("\n\n")[0]
    tags = sorted(tag for tag in node.tags if not tag.startswith(TAG))
    return (
        code(f"{pipeline}.{node.name}"),
        prose(summary),
        code(step_name(node)),
        ", ".join(map(code, tags)),
    )


def _dataset_row(name: str) -> tuple[str, ...]:
    base, azureml = (catalog(environment).get(name, {}) for environment in ENVIRONMENTS)
    layer = base.get("metadata", {}).get("kedro-viz", {}).get("layer", "")
    here = _place(base, "registry")
    there = _place(azureml, "the workspace's registry")
    places = here if here == there else f"{here}<br>{there}"
    return code(name), _type(base), layer, places


def _type(entry: dict[str, Any]) -> str:
    """Return the type, without the package of Quartet's own, and the type of what it wraps."""
    name = entry.get("type", "MemoryDataset")
    inner = entry.get("dataset", {})
    inner = inner.get("type", "") if isinstance(inner, dict) else inner
    return code(_OWN.sub("", name)) + (f" of {code(_OWN.sub('', inner))}" if inner else "")


def _place(entry: dict[str, Any], registry: str) -> str:
    """Return the location of a dataset in a run without `--params`."""
    if not entry:
        return "memory"
    if entry["type"].endswith("AzureMLPipelineDataset"):
        return f"the step's folder: {code(entry['dataset']['filepath'])}"
    if model := entry.get("model_name"):
        return f"{registry}: {code(model)}"
    place = next((entry[key] for key in _PLACES if entry.get(key)), None)
    return code(str(place)) if place else prose(entry.get("hint", ""))


@cache
def catalog(environment: str) -> dict[str, Any]:
    """Return the entries of an environment with roots and defaults resolved."""
    return _load("catalog", environment)


@cache
def _load(kind: str, environment: str) -> dict[str, Any]:
    """Return a configuration as in a step of a job, without the variables of this shell."""
    from quartet.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

    with patch.dict(os.environ, {"AZUREML_ROOT_RUN_ID": "JOB"}, clear=True):
        loader = CONFIG_LOADER_CLASS(str(CONF), env=environment, **CONFIG_LOADER_ARGS)
        return dict(loader[kind])


def run_parameters(environment: str) -> str:
    """Return a table of the names that `--params` accepts beside parameters, with their uses.

    Raises:
        ValueError: There is no such environment, or it uses none.
    """
    uses: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path in sorted((CONF / environment).glob("*/*.yml")):
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        for entry, value in entries.items():
            if entry.startswith("_"):
                continue
            for request in _requests(value):
                uses.setdefault(request, {}).setdefault(path.parent.name, []).append(entry)
    if not uses:
        raise ValueError(f"nothing in conf/{environment} uses runtime_params")
    rows = (
        (code(name), code(default), "; ".join(_use(*each) for each in found.items()))
        for (name, default), found in sorted(uses.items())
    )
    return table(RUN_PARAMETERS, rows)


def _use(where: str, entries: list[str]) -> str:
    return f"{where}: " + ", ".join(map(code, dict.fromkeys(entries)))


def _requests(value: Any) -> Iterator[tuple[str, str]]:
    """Yield names and defaults of run parameters in an entry, outer ones before inner ones."""
    if isinstance(value, dict | list):
        if isinstance(value, dict):  # requested_path repeats the path: no use of its own
            value = [value[key] for key in value if key != "requested_path"]
        for each in value:
            yield from _requests(each)
    elif isinstance(value, str):
        for start in (found.end() for found in re.finditer(re.escape(_RUN_PARAMETER), value)):
            name, _, default = value[start : _closed(value, start)].partition(",")
            yield name, _with_roots(default)


def _closed(text: str, start: int) -> int:
    """Return the position of the brace that closes the one open at `start`."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise ValueError(f"no closing brace after {text[:start]}")


def _with_roots(text: str) -> str:
    """Return a default with the folders of `globals.yml`, and other names in capitals."""
    roots = _load("globals", "base")
    text = re.sub(r"\$\{globals:(\w+)\}", lambda found: str(roots[found[1]]), text)
    return re.sub(r"\$\{runtime_params:(\w+),[^{}]*\}", lambda found: found[1].upper(), text)
