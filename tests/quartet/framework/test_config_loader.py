"""Two data sets share no file, database or registered model, and the samples keep their paths."""

import json
import re

import pytest
from kedro.framework.project import pipelines, settings

from quartet.framework.config_loader import get_dataset_name
from support import ROOT, bootstrap, read_configuration

bootstrap()
SHARED = {
    # The committed samples:
    *(name for name in pipelines["sample_data"].datasets() if not name.startswith("params:")),
    *("style_weights", "style_weights_trained", "style_checkpoint", "style_card", "vgg_weights"),
    *("photographs", "test_photographs"),  # of the libraries, or in a folder that a run names
    "sentence_encoder",
}
"""Datasets that are the same for all data sets: samples, downloads and styles."""
ENVIRONMENTS = ["base", "azureml"]


def load(environment, **params):
    return settings.CONFIG_LOADER_CLASS(
        str(ROOT / "conf"), env=environment, runtime_params=params, **settings.CONFIG_LOADER_ARGS
    )


def locations(entry):
    """Return the location or the registered name of a dataset, with those of what it wraps."""
    names = ("filepath", "path", "folder", "url", "root_dir", "model_name")
    return [entry[name] for name in names if entry.get(name)]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_data_sets_have_no_dataset_in_common(environment):
    catalogs = [
        read_configuration("catalog", environment, dataset_name=name)
        for name in ("a", "b", "sample")
    ]
    places = [
        {name: locations(entry) for name, entry in catalog.items() if name not in SHARED}
        for catalog in catalogs
    ]
    assert len(places[0]) > 100
    for name in places[0]:
        first, second, sample = (found[name] for found in places)
        assert first, f"{name} has no location"
        for one, other in ((first, second), (first, sample), (second, sample)):
            assert set(one).isdisjoint(other), name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_shared_datasets_are_those_of_the_samples(environment):
    catalogs = [
        read_configuration("catalog", environment, **params)
        for params in ({"dataset_name": "a"}, {})
    ]
    found, sample = ({name: catalog[name] for name in SHARED} for catalog in catalogs)
    assert found == sample


def test_samples_are_the_default_and_lie_in_the_roots():
    catalog = read_configuration("catalog", "base")
    assert catalog == read_configuration("catalog", "base", dataset_name="sample")
    assert catalog["faq_originals"]["filepath"] == "data/01_raw/faq/orig-q.tsv.gz"
    assert catalog["faq_ranker"]["model_name"] == "FAQ_ranker"


def test_a_folder_of_the_user_may_be_outside_of_the_data_set():
    catalog = load("base", dataset_name="paint", faq_data="abfs://raw/faq")["catalog"]
    assert catalog["faq_originals"]["filepath"] == "abfs://raw/faq/orig-q.tsv.gz"
    assert catalog["clean_originals"]["filepath"].startswith("data/paint/")


def test_another_loader_in_the_process_does_not_change_the_name():
    paint = load("base", dataset_name="paint")
    load("base")
    assert paint["globals"]["raw"] == "data/paint/01_raw"


def test_azure_stores_each_data_set_in_the_same_containers():
    def containers(**params):
        text = json.dumps(load("azureml", **params)["globals"])
        return set(re.findall(r"abfs://([^/\"]+)", text))

    assert containers(dataset_name="paint") == containers()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "01_raw", "a b", "x" * 41, 5, None, "é"])
def test_invalid_name_is_rejected_with_its_value(name):
    with pytest.raises(ValueError, match="'dataset_name': should be a letter") as raised:
        get_dataset_name({"dataset_name": name})
    assert f"(given: {name!r})" in str(raised.value)
    with pytest.raises(ValueError, match="dataset_name"):
        load("base", dataset_name=name)
