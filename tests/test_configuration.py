"""The configuration must carry every run, here and on a cluster."""

import shutil

import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project

from support import ROOT

bootstrap_project(ROOT)
ENVIRONMENTS = ["base", "azureml"]


def catalog_of(environment):
    loader = OmegaConfigLoader(str(ROOT / "conf"), env=environment, **settings.CONFIG_LOADER_ARGS)
    return {name: entry for name, entry in loader["catalog"].items() if not name.startswith("_")}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_dataset_crosses_nodes_in_memory(environment):
    """Each node is a process of its own on Azure ML: what has no entry would be lost."""
    catalog = catalog_of(environment)
    for pipeline in pipelines.values():
        crossing = {name for name in pipeline.datasets() if not name.startswith("param")}
        assert crossing <= catalog.keys()
    assert not [name for name in catalog if "{" in name or "@" in name]
    assert not [name for name, entry in catalog.items() if "MemoryDataset" in entry["type"]]


def test_environments_differ_by_roots_only():
    base, azure = catalog_of("base"), catalog_of("azureml")
    assert base.keys() == azure.keys()
    for name in base:
        here, there = dict(base[name]), dict(azure[name])
        for key, scheme in (
            ("filepath", "abfs://"),
            ("path", "abfs://"),
            ("url", "mssql+pyodbc://"),
        ):
            root_here, root_there = here.pop(key, ""), there.pop(key, "")
            assert bool(root_here) == bool(root_there)
            if root_here:
                assert root_there.startswith(scheme), name
                assert not root_here.startswith(scheme)
        if "filepath" in base[name]:
            last = [entries[name]["filepath"].rsplit("/", 1)[-1] for entries in (base, azure)]
            assert last[0] == last[1]
        assert here == there


def test_a_local_override_names_only_what_it_changes(tmp_path):
    shutil.copytree(ROOT / "conf/base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    (tmp_path / "local/parameters.yml").write_text("convnet_training: {epochs: 3}\n")
    loader = OmegaConfigLoader(str(tmp_path), **settings.CONFIG_LOADER_ARGS)
    training = loader["parameters"]["convnet_training"]
    assert training["epochs"] == 3
    assert training["batch_size"] == 250


def test_no_two_datasets_share_a_file():
    samples = (
        "digit_sample_",
        "faq_sample_",
        "sensor_sample_",
        "style_sample_",
    )  # the samples' makers and their readers
    paths = [
        entry["filepath"]
        for name, entry in catalog_of("base").items()
        if "filepath" in entry and not name.startswith(samples)
    ]
    assert len(paths) == len(set(paths))


def test_every_dataset_has_a_layer_for_the_picture_of_the_pipeline():
    layers = {"raw", "intermediate", "primary", "model_input", "models", "model_output"}
    layers |= {"reporting", "registry", "matches", "predictions"}
    for name, entry in catalog_of("base").items():
        assert entry["metadata"]["kedro-viz"]["layer"] in layers, name


def test_no_entry_is_left_over():
    used = set().union(*(pipeline.datasets() for pipeline in pipelines.values()))
    assert catalog_of("base").keys() <= used


def test_every_figure_and_metric_lies_in_its_pipelines_report_folder():
    catalog = catalog_of("base")
    for name in pipelines:
        outputs = pipelines[name].all_outputs() - {"digit_sample"}
        reports = [catalog[output]["filepath"] for output in outputs if output.endswith("_figure")]
        if name not in {"__default__", "sample_data"}:
            assert reports
            assert all(path.startswith(f"data/08_reporting/{name}/") for path in reports)
            metrics = catalog[f"{name}_metrics"]["filepath"]
            assert metrics == f"data/08_reporting/{name}/metrics.json"
