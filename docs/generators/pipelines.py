"""A pipeline's nodes and datasets, made from its definition and from the catalogs."""

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
NODES = ("Node", "What it returns", "Step", "Tags")
DATASETS = ("Dataset", "Type", "Layer", "On this machine, on Azure ML")
RUN_PARAMETERS = ("Name", "Default", "What it changes")
_PLACES = ("filepath", "path", "folder", "url")
_OWN = re.compile(r"^(?:quartet|kedro_azureml)\.(?:\w+\.)*")
_RUN_PARAMETER = "${runtime_params:"


def pipeline(name: str) -> str:
    """Tables of a pipeline's nodes, in the order they run, and of all datasets they touch.

    Raises:
        ValueError: There is no such pipeline.
    """
    if not (CONF / "base" / name).is_dir():
        known = ", ".join(sorted(path.parent.name for path in CONF.glob("base/*/catalog.yml")))
        raise ValueError(f"no pipeline '{name}'; known: {known}")
    module = import_module(f"quartet.pipelines.{name}")
    found = module.create_pipeline()
    touched = list(dict.fromkeys(each for node in found.nodes for each in _touched(node)))
    nodes = table(NODES, map(_node_row, found.nodes))
    return f"{nodes}\n\n{table(DATASETS, map(_dataset_row, touched))}"


def _touched(node: Any) -> Iterator[str]:
    """Datasets of a node, less what are parameters."""
    for name in (*node.inputs, *node.outputs):
        if not name.startswith("params:") and name != "parameters":
            yield name


def _node_row(node: Any) -> tuple[str, ...]:
    from kedro_cloud.jobs.steps import TAG, step_name

    said = (inspect.getdoc(node.func) or "").partition("\n\n")[0]
    tags = sorted(tag for tag in node.tags if not tag.startswith(TAG))
    return code(node.name), prose(said), code(step_name(node)), ", ".join(map(code, tags))


def _dataset_row(name: str) -> tuple[str, ...]:
    base, azureml = (catalog(environment).get(name, {}) for environment in ENVIRONMENTS)
    layer = base.get("metadata", {}).get("kedro-viz", {}).get("layer", "")
    here = _place(base, "registry")
    there = _place(azureml, "the workspace's registry")
    places = here if here == there else f"{here}<br>{there}"
    return code(name), _type(base), layer, places


def _type(entry: dict[str, Any]) -> str:
    """As the catalog has it, less where Quartet keeps its own; and of what it is made."""
    said = entry.get("type", "MemoryDataset")
    inner = entry.get("dataset", {})
    inner = inner.get("type", "") if isinstance(inner, dict) else inner
    return code(_OWN.sub("", said)) + (f" of {code(_OWN.sub('', inner))}" if inner else "")


def _place(entry: dict[str, Any], registry: str) -> str:
    """Where a dataset lies in a run without `--params`."""
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
    """The entries of an environment, each with its roots and defaults put in."""
    from kedro.config import OmegaConfigLoader

    from quartet.settings import CONFIG_LOADER_ARGS

    # Without the variables of whoever builds the site, as in a step of a job.
    with patch.dict(os.environ, {"AZUREML_ROOT_RUN_ID": "JOB"}, clear=True):
        loader = OmegaConfigLoader(str(CONF), env=environment, **CONFIG_LOADER_ARGS)
        return dict(loader["catalog"])


def run_parameters(environment: str) -> str:
    """A table of the names that `--params` may give beside parameters, with what each changes.

    Raises:
        ValueError: There is no such environment, or it asks for none.
    """
    uses: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path in sorted((CONF / environment).glob("*/*.yml")):
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        for entry, value in entries.items():
            if entry.startswith("_"):
                continue
            for asked in _asked(value):
                uses.setdefault(asked, {}).setdefault(path.parent.name, []).append(entry)
    if not uses:
        raise ValueError(f"nothing in conf/{environment} asks for what --params says")
    rows = (
        (code(name), code(default), "; ".join(_use(*each) for each in found.items()))
        for (name, default), found in sorted(uses.items())
    )
    return table(RUN_PARAMETERS, rows)


def _use(where: str, entries: list[str]) -> str:
    return f"{where}: " + ", ".join(map(code, dict.fromkeys(entries)))


def _asked(value: Any) -> Iterator[tuple[str, str]]:
    """Names and defaults of run parameters in an entry, the outer one of two before the inner."""
    if isinstance(value, dict | list):
        if isinstance(
            value, dict
        ):  # what was asked for, said again to the dataset, is no other use
            value = [value[key] for key in value if key != "requested_path"]
        for each in value:
            yield from _asked(each)
    elif isinstance(value, str):
        for start in (found.end() for found in re.finditer(re.escape(_RUN_PARAMETER), value)):
            name, _, default = value[start : _closed(value, start)].partition(",")
            yield name, _with_roots(default)


def _closed(text: str, start: int) -> int:
    """Where the brace closes that was open at `start`."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise ValueError(f"no end of what begins with {text[:start]}")


def _with_roots(text: str) -> str:
    """A default with the folders of `globals.yml`, and with names in capitals of others."""
    roots = yaml.safe_load((CONF / "base/globals.yml").read_text(encoding="utf-8"))
    text = re.sub(r"\$\{globals:(\w+)\}", lambda found: str(roots[found[1]]), text)
    return re.sub(r"\$\{runtime_params:(\w+),[^{}]*\}", lambda found: found[1].upper(), text)
