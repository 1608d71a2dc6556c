"""Errors of libraries reach the user as one line: where, what was expected, what to do.

Each test provokes an error of the installed library, so that a version with another text fails.
"""

import errno
import os

import mlflow
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro.utils import load_obj

from kedro_cloud.core.errors import describe

PIPELINE = Pipeline([Node(list, "first", "second", name="copy")])


def message(provoke):
    """Return what a user reads of the error that a call raises."""
    with pytest.raises(Exception) as caught:
        provoke()
    return describe(caught.value)


def raise_os_error(number):
    raise OSError(number, os.strerror(number), "a.csv")


def catalog(**changes):
    """Return a catalog with a dataset `images`, whose entry is changed; None removes a key."""
    entry = {"type": "json.JSONDataset", "filepath": "a.json", **changes}
    entry = {name: value for name, value in entry.items() if value is not None}
    return DataCatalog.from_config({"images": entry})


def test_a_cycle_of_causes_ends():
    """Azure's SDK creates one when it retries."""
    last, first = OSError(5, "Input/output error"), ValueError("tried 7 times")
    last.__cause__, first.__context__ = first, last
    assert describe(last) == "input/output error"


def test_a_missing_file_is_reported_with_its_dataset(tmp_path):
    file = tmp_path / "a.json"
    assert message(lambda: catalog(filepath=str(file)).load("images")) == (
        f"images: {file}: no such file or directory; check the path"
    )


def test_data_that_cannot_be_saved_are_reported_with_their_dataset(tmp_path):
    images = catalog(filepath=str(tmp_path / "a.json"))
    assert message(lambda: images.save("images", {1})) == (
        "images: Object of type set is not JSON serializable"
    )


def test_a_folder_instead_of_a_file_is_reported_with_its_dataset(tmp_path):
    assert message(lambda: catalog(filepath=str(tmp_path)).load("images")) == (
        f"images: {tmp_path}: is a directory; expected a file; use the path of a file, or move the "
        "folder away"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"filepth": "b.json"},
            "dataset 'images': key 'filepth' does not exist; check its spelling in catalog.yml",
        ),
        ({"filepath": None}, "dataset 'images': key 'filepath' is missing; add it in catalog.yml"),
        (
            {"type": None},
            "dataset 'images': 'type' is missing from dataset catalog configuration.",
        ),
        ({"type": "nowhere.Dataset"}, "dataset 'images': No module named 'nowhere'."),
        (
            {"type": "quartet.datasets.idx.Idx"},
            "dataset 'images': Dataset 'Idx' not found in 'quartet.datasets.idx'. Make sure the "
            "dataset name is correct.",
        ),
        ({"fs_args": 3}, "dataset 'images': 'int' object has no attribute 'pop'"),
        (
            {"credentials": "db"},
            "Unable to find credentials 'db': add it to credentials.yml, or check its spelling in "
            "catalog.yml",
        ),
    ],
)
def test_an_invalid_catalog_entry_is_reported_by_dataset_and_key(changes, expected):
    assert message(lambda: catalog(**changes).get("images")) == expected


@pytest.mark.parametrize(
    ("parameters", "environment", "expected"),
    [
        ("folder: ${globals:rw}\n", None, "folder: globals.yml has no entry 'rw'; check its spell"),
        ("split: {seed: '${sed}'}\n", None, "split.seed: there is no entry 'sed'; check its spell"),
        ("", "prd", "environment 'prd' does not exist: expected folder /"),
    ],
)
def test_an_invalid_configuration_is_reported_by_its_key(
    tmp_path, parameters, environment, expected
):
    (tmp_path / "conf/base").mkdir(parents=True)
    (tmp_path / "conf/base/globals.yml").write_text("raw: data\n")
    (tmp_path / "conf/base/parameters.yml").write_text(parameters)
    loader = OmegaConfigLoader(
        str(tmp_path / "conf"), env=environment, base_env="base", default_run_env="base"
    )
    assert message(lambda: loader["parameters"]).startswith(expected)


@pytest.mark.parametrize(
    ("provoke", "expected"),
    [
        (
            lambda: os.write(os.open("/dev/full", os.O_WRONLY), b"x"),
            "no space left on device; free disk space, and rerun",
        ),
        (
            lambda: raise_os_error(errno.EFBIG),
            "a.csv: file too large; raise the limit of file sizes (ulimit -f), and rerun",
        ),
        (
            "\udcfc.csv".encode,
            "a path has characters that this locale cannot encode; unset PYTHONUTF8, or set "
            "LC_ALL=C.UTF-8",
        ),
        (
            lambda: SequentialRunner().run(PIPELINE, DataCatalog()),
            "pipeline inputs missing: 'first'; add them to catalog.yml or parameters.yml",
        ),
        (
            lambda: PIPELINE.filter(node_names=["no"]),
            "the pipeline has no nodes named 'no'; see `kedro registry describe PIPELINE`",
        ),
        (
            lambda: PIPELINE.filter(from_inputs=["no"]),
            "the pipeline has no datasets named 'no'; see `kedro registry describe PIPELINE`",
        ),
        (
            lambda: PIPELINE.filter(tags=["no"]),
            "the filters select no nodes; check the spelling of --tags, --nodes and similar "
            "options",
        ),
        (
            lambda: load_obj("Fast", "kedro.runner"),
            "--runner: 'Fast' does not exist; expected one of SequentialRunner, ThreadRunner, "
            "ParallelRunner",
        ),
    ],
)
def test_an_error_of_a_run_is_reported_with_what_to_do(provoke, expected):
    assert message(provoke) == expected


def test_an_unknown_mlflow_run_is_reported_with_the_variable_that_names_it(empty_database):
    client = mlflow.MlflowClient(f"sqlite:///{empty_database}")
    assert message(lambda: client.get_run("nonsense")) == (
        "MLFLOW_RUN_ID: run 'nonsense' does not exist in the tracking database; unset the variable"
    )


def test_a_parameter_in_two_files_is_reported_with_these(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    (tmp_path / "conf/base").mkdir(parents=True)
    texts = {"devices.yml": "- pump", "parameters.yml": "a: 1", "parameters_b.yml": "a: 2"}
    for name, text in texts.items():
        (tmp_path / "conf/base" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    loader = OmegaConfigLoader(str(tmp_path / "conf"), base_env="base", default_run_env="base")
    assert message(lambda: loader["parameters"]).startswith("Duplicate keys found in ")
