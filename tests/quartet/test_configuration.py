"""The configuration supports every run, locally and on a cluster.

Each check is also tested on a configuration that fails it.
"""

import copy
import shutil
from pathlib import PurePosixPath

import pytest
from kedro.framework.project import pipelines, settings
from kedro.pipeline import Node, Pipeline
from kedro.validation import TypeExtractor

from kedro_cloud.jobs.steps import Steps
from support import ROOT, bootstrap, read_configuration

bootstrap()
NAMES = sorted(set(pipelines))
CARRIED = "kedro_azureml.datasets.AzureMLPipelineDataset"
"""A dataset in a folder that Azure ML passes from step to step."""
LOCATIONS = ("filepath", "path", "folder", "url", "trained_on")
"""Arguments of datasets with a location."""


def base():
    return read_configuration("catalog", "base")


def azure():
    return read_configuration("catalog", "azureml")


def data(names):
    return sorted(name for name in names if not name.startswith("param"))


def find_losses(pipeline, catalog):
    """Yield a description of each dataset that a cluster would lose or pass on as a pickle."""
    for name in data(pipeline.datasets()):
        entry = catalog.get(name)
        if "@" in name:
            yield f"{name} is transcoded"
        elif entry is None:
            yield f"{name} has no entry of its own"
        elif entry["type"].endswith("MemoryDataset"):
            yield f"{name} is in memory"
    steps = Steps(pipeline)
    for name in data(steps.datasets() | pipeline.outputs()):
        if name in catalog and (reason := find_loss(name, catalog[name], pipeline)):
            yield f"{name} {reason}"


def find_loss(name, entry, pipeline):
    if entry["type"] == CARRIED:
        comes, goes = pipeline.all_outputs(), pipeline.all_inputs()
        return "" if name in comes & goes else "travels between no steps"
    for argument in LOCATIONS:
        place = entry.get(argument)
        if place is not None and not place.startswith(("abfs://", "mssql+pyodbc://")):
            return f"lies on the machine of its step: {place}"
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_no_dataset_is_lost_between_steps(name):
    """Not even if each node is a step: which nodes share one affects the cost only."""
    nodes = [Node(n.func, n._inputs, n.outputs, name=n.name) for n in pipelines[name].nodes]
    assert list(find_losses(Pipeline(nodes), azure())) == []


@pytest.mark.parametrize("environment", ["base", "azureml"])
def test_each_registered_model_names_the_pipeline_that_registers_it(environment):
    catalog = read_configuration("catalog", environment)
    registered_by = {name: entry["registered_by"] for name, entry in catalog.items()
                     if "registered_by" in entry}  # fmt: skip
    made = set().union(*(pipeline.outputs() for pipeline in pipelines.values()))
    types = {name: catalog[name]["type"].rpartition(".")[2] for name in made}
    assert set(registered_by) == {name for name in made if types[name] == "RegisteredModelDataset"}
    for name, pipeline in registered_by.items():
        assert name in pipelines[pipeline].outputs()


def example(middle="middle"):
    nodes = [
        Node(lambda raw: raw, "raw", middle, name="first", tags="step.one"),
        Node(lambda middle: middle, middle, "result", name="second", tags="step.two"),
    ]
    return Pipeline(nodes)


VALID = {
    "raw": {"type": "json.JSONDataset", "filepath": "abfs://raw/a.json"},
    "middle": {"type": CARRIED, "dataset": {"type": "json.JSONDataset", "filepath": "m.json"}},
    "result": {"type": "json.JSONDataset", "filepath": "abfs://work/b.json"},
}
LOCAL = {"type": "json.JSONDataset", "filepath": "data/a.json"}
BROKEN = {
    "no entry": ({"middle": None}, "middle has no entry"),
    "memory": ({"middle": {"type": "MemoryDataset"}}, "middle is in memory"),
    "local": ({"middle": LOCAL}, "middle lies on the machine of its step: data/a.json"),
    "database": ({"result": {"type": "x.Y", "url": "sqlite:///a.db"}}, "result lies on"),
    "carried out": ({"result": VALID["middle"]}, "result travels between no steps"),
    "carried in": ({"raw": VALID["middle"]}, "raw travels between no steps"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_catalog_that_loses_data_is_detected(fault):
    changes, expected = BROKEN[fault]
    catalog = {name: entry for name, entry in {**VALID, **changes}.items() if entry}
    (found,) = find_losses(example(), catalog)
    assert expected in found


def test_transcoded_dataset_is_detected():
    assert "middle@a is transcoded" in list(find_losses(example("middle@a"), VALID))


def test_valid_catalog_passes():
    assert list(find_losses(example(), VALID)) == []


def find_differences(base, azure):
    """Yield a description of each difference between two entries except their locations."""
    here, there = copy.deepcopy(base), copy.deepcopy(azure)
    if there["type"] == CARRIED:
        unknown = there.keys() - {"type", "dataset", "root_dir", "filepath_arg", "metadata"}
        if unknown:
            yield f"what carries it does not know {', '.join(sorted(unknown))}"
        there = {**there["dataset"], "metadata": there.get("metadata")}
    for argument in LOCATIONS:
        mine, its = here.pop(argument, None), there.pop(argument, None)
        if bool(mine) != bool(its):
            yield f"only one has a {argument}"
        elif mine and argument == "filepath" and file_name(mine) != file_name(its):
            yield f"another file: {its}"
    if here != there:
        yield f"{here} here, {there} there"


def file_name(path):
    return PurePosixPath(path).name


def test_both_environments_have_the_same_datasets():
    assert base().keys() == azure().keys()


def test_environments_differ_only_in_locations():
    differences = {name: list(find_differences(base()[name], azure()[name])) for name in base()}
    assert {name: found for name, found in differences.items() if found} == {}
    local = [entry.get(key) or "" for entry in base().values() for key in LOCATIONS]
    assert not [location for location in local if "abfs://" in location]


TABLE = {"type": "pandas.ParquetDataset", "filepath": "data/a.parquet", "metadata": {"x": 1}}
PICKLE = TABLE | {"type": "pickle.PickleDataset"}


@pytest.mark.parametrize(
    ("azure", "expected"),
    [
        (PICKLE, "there"),
        (TABLE | {"filepath": "abfs://work/b.parquet"}, "another file"),
        (TABLE | {"save_args": {"index": False}}, "there"),
        ({"type": "pandas.ParquetDataset", "metadata": {"x": 1}}, "only one has a filepath"),
        ({"type": CARRIED, "dataset": PICKLE, "metadata": {"x": 1}}, "there"),
        ({"type": CARRIED, "dataset": TABLE, "metadata": {"x": 1}, "root": "a"}, "does not know"),
    ],
)
def test_dataset_that_differs_on_azure_is_detected(azure, expected):
    assert any(expected in found for found in find_differences(TABLE, azure))


def test_carried_datasets_have_distinct_files():
    """`kedro run -e azureml` saves all of them on the local machine."""
    carried = [entry for entry in azure().values() if entry["type"] == CARRIED]
    places = {(entry["root_dir"], entry["dataset"]["filepath"]) for entry in carried}
    assert len(places) == len(carried) > 0
    assert all(root.startswith("data/steps/") for root, _ in places)


def test_local_override_changes_only_the_named_parameter(tmp_path):
    shutil.copytree(ROOT / "conf/base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    group, before = next(
        (name, entries)
        for name, entries in read_configuration("parameters").items()
        if isinstance(entries, dict) and len(entries) > 1
    )
    changed = next(iter(before))
    (tmp_path / "local/parameters.yml").write_text(f"{group}: {{{changed}: 987}}\n")
    loader = settings.CONFIG_LOADER_CLASS(str(tmp_path), **settings.CONFIG_LOADER_ARGS)
    assert loader["parameters"][group] == before | {changed: 987}


def test_parameters_are_complete_and_equal_the_defaults_of_their_model():
    found = TypeExtractor(dict(pipelines)).extract_types_from_pipelines()
    models = {name: model for name, model in found.items() if "_sample_" not in name}
    assert models  # samples have values of their own
    for name, model in models.items():
        given, fields = read_configuration("parameters")[name], model.model_fields
        assert given.keys() == fields.keys(), name
        required = {field: given[field] for field in fields if fields[field].is_required()}
        assert model(**given) == model(**required), name


def test_datasets_have_distinct_files():
    samples = pipelines["sample_data"].datasets()  # other pipelines read them by other names
    paths = [
        entry["filepath"]
        for name, entry in base().items()
        if "filepath" in entry and name not in samples
    ]
    assert len(paths) == len(set(paths))


def test_every_dataset_has_a_kedro_viz_layer():
    layers = {"raw", "intermediate", "primary", "model_input", "models", "model_output"}
    layers |= {"reporting", "registry", "serving"}
    for name, entry in base().items():
        assert entry["metadata"]["kedro-viz"]["layer"] in layers, name


def test_every_catalog_entry_is_used():
    used = set().union(*(pipeline.datasets() for pipeline in pipelines.values()))
    assert base().keys() <= used


def test_reports_are_saved_in_the_folder_of_their_pipeline():
    for name in pipelines:
        outputs = pipelines[name].all_outputs()
        reports = [base()[output]["filepath"] for output in outputs if output.endswith("_figure")]
        if name not in {"__default__", "sample_data"}:
            assert reports
            assert all(path.startswith(f"data/08_reporting/{name}/") for path in reports)
            metrics = base()[f"{name}_metrics"]["filepath"]
            assert metrics == f"data/08_reporting/{name}/metrics.json"
