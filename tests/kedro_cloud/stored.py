"""Datasets of the catalog as they are on blob storage, and what a user sees of their errors."""

from functools import cache

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.io import DataCatalog

from kedro_cloud.core.errors import describe, is_user_error
from support import ROOT, bootstrap

bootstrap()
ON_BLOBS = "abfs://"


@cache
def catalog_on_blobs():
    """All entries on blob storage in `azureml`, or that would be, were they no step folders."""
    azureml = loader("azureml")
    base = loader("base")
    base["globals"] = azureml["globals"]
    entries = {**on_blobs(base["catalog"]), **on_blobs(azureml["catalog"])}
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


def loader(environment):
    folders = {"photographs": "abfs://raw/photos", "test_photographs": "abfs://raw/photos"}
    arguments = {"runtime_params": folders, **settings.CONFIG_LOADER_ARGS}
    return OmegaConfigLoader(str(ROOT / "conf"), env=environment, **arguments)


def on_blobs(catalog):
    return {name: entry for name, entry in catalog.items() if lies_on_blobs(entry)}


def lies_on_blobs(entry):
    values = entry.values() if isinstance(entry, dict) else ()
    return any(isinstance(value, str) and value.startswith(ON_BLOBS) for value in values)


@cache
def entries(environment):
    """The catalog of an environment."""
    return loader(environment)["catalog"]


def dataset(name, environment="azureml", **changes):
    """An entry of the catalog, opened anew."""
    return DataCatalog.from_config({name: {**entries(environment)[name], **changes}}).get(name)


def bank():
    """One of arrays, as large as need be."""
    return dataset("merged_models", "base", filepath="abfs://models/bank.safetensors")


def one_line(caught):
    """What a user sees of an error: a line, with neither key nor page."""
    assert is_user_error(caught.value)
    line = describe(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    assert not [text for text in ("RequestId", "AccountKey", "sig=") if text in line]
    return line
