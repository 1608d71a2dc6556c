"""Datasets of the catalog on blob storage, and their error messages."""

from functools import cache

from kedro.framework.project import settings
from kedro.io import DataCatalog

from kedro_cloud.core.errors import describe, is_user_error
from support import ROOT, bootstrap

bootstrap()
ON_BLOBS = "abfs://"


@cache
def catalog_on_blobs():
    """Return the entries on blob storage in `azureml`, including those in folders of steps."""
    azureml = loader("azureml")
    base = loader("base")
    base["globals"] = azureml["globals"]
    entries = {**on_blobs(base["catalog"]), **on_blobs(azureml["catalog"])}
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


def one_of_each_kind():
    """Return the names of entries that differ in more than their location."""
    found = {}
    for name, entry in sorted(catalog_on_blobs().items()):
        kind = {
            key: value
            for key, value in entry.items()
            if key not in {"filepath", "path", "folder", "metadata", "hint"}
        }
        ending = entry.get("filepath", "").partition(".")[2]
        found.setdefault(f"{kind} {ending}", name)
    return sorted(found.values())


def loader(environment):
    folders = {"photographs": "abfs://raw/photos", "test_photographs": "abfs://raw/photos"}
    arguments = {"runtime_params": folders, **settings.CONFIG_LOADER_ARGS}
    return settings.CONFIG_LOADER_CLASS(str(ROOT / "conf"), env=environment, **arguments)


def on_blobs(catalog):
    return {name: entry for name, entry in catalog.items() if is_on_blobs(entry)}


def is_on_blobs(entry):
    items = entry.items() if isinstance(entry, dict) else ()
    values = [value for key, value in items if key != "trained_on"]
    return any(isinstance(value, str) and value.startswith(ON_BLOBS) for value in values)


@cache
def entries(environment):
    """Return the catalog of an environment."""
    return loader(environment)["catalog"]


def dataset(name, environment="azureml", **changes):
    """Return a new dataset for an entry of the catalog."""
    return DataCatalog.from_config({name: {**entries(environment)[name], **changes}}).get(name)


def arrays():
    """Return a dataset of arrays of any size."""
    return dataset("merged_models", "base", filepath="abfs://models/arrays.safetensors")


def one_line(caught):
    """Return the message of an error, which must be one line without keys."""
    assert is_user_error(caught.value)
    line = describe(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    assert not [text for text in ("RequestId", "AccountKey", "sig=") if text in line]
    return line
