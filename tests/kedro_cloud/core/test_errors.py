"""What libraries say must reach the user as one line: where, what was expected, what to do.

Each test provokes the installed library's own message: a version that says it in other words is
noticed here.
"""

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


def line(provoke):
    """What a user reads of the error that a call raises."""
    with pytest.raises(Exception) as caught:
        provoke()
    return describe(caught.value)


def catalog(**changes):
    entry = {"type": "json.JSONDataset", "filepath": "a.json", **changes}
    entry = {name: value for name, value in entry.items() if value is not None}
    return DataCatalog.from_config({"images": entry})


def configuration(tmp_path, text):
    (tmp_path / "conf/base").mkdir(parents=True)
    (tmp_path / "conf/base/globals.yml").write_text("raw: data\n")
    (tmp_path / "conf/base/parameters.yml").write_text(text)
    return OmegaConfigLoader(str(tmp_path / "conf"), base_env="base", default_run_env="base")


def test_errors_that_are_each_others_cause_end_in_a_line():
    """As Azure's SDK leaves them after several tries."""
    last, first = OSError(5, "Input/output error"), ValueError("tried 7 times")
    last.__cause__, first.__context__ = first, last
    assert describe(last) == "input/output error"


def test_a_missing_file_is_named_with_its_dataset(tmp_path):
    file = tmp_path / "a.json"
    assert line(lambda: catalog(filepath=str(file)).load("images")) == (
        f"images: {file}: no such file or directory; check the path"
    )


def test_what_cannot_be_saved_is_named_with_its_dataset(tmp_path):
    images = catalog(filepath=str(tmp_path / "a.json"))
    assert line(lambda: images.save("images", {1})) == (
        "images: Object of type set is not JSON serializable"
    )


def test_a_folder_in_the_place_of_a_file_is_named_with_what_to_do(tmp_path):
    assert line(lambda: catalog(filepath=str(tmp_path)).load("images")) == (
        f"images: {tmp_path}: is a directory; expected a file; use the path of a file, or move the "
        "folder away"
    )


def test_an_os_error_without_a_file_is_told_with_what_to_do():
    assert line(lambda: os.write(os.open("/dev/full", os.O_WRONLY), b"x")) == (
        "no space left on device; free disk space, and rerun"
    )


def test_a_letter_that_the_locale_lacks_is_told_with_the_variable_to_set():
    assert line("\udcfc.csv".encode) == (
        "a path has characters that this locale cannot encode: unset PYTHONUTF8, or set "
        "LC_ALL=C.UTF-8"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
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
    ],
)
def test_a_wrong_entry_of_the_catalog_is_told_by_dataset_and_key(changes, said):
    assert line(lambda: catalog(**changes).get("images")) == said


def test_credentials_that_are_nowhere_are_named():
    assert line(lambda: catalog(credentials="db").get("images")) == (
        "Unable to find credentials 'db': add it to credentials.yml, or check its spelling in "
        "catalog.yml"
    )


def test_an_entry_that_globals_lack_is_named(tmp_path):
    loader = configuration(tmp_path, "folder: ${globals:rw}\n")
    assert line(lambda: loader["parameters"]) == (
        "folder: globals.yml has no entry 'rw'; check its spelling"
    )


def test_a_reference_to_no_parameter_is_named_where_it_stands(tmp_path):
    loader = configuration(tmp_path, "split:\n  seed: ${sed}\n")
    assert line(lambda: loader["parameters"]) == (
        "split.seed: there is no entry 'sed'; check its spelling"
    )


def test_an_environment_without_a_folder_is_named(tmp_path):
    configuration(tmp_path, "")
    loader = OmegaConfigLoader(str(tmp_path / "conf"), env="prd", base_env="base")
    assert line(lambda: loader["parameters"]) == (
        f"environment 'prd' does not exist: expected folder {tmp_path}/conf/prd; check the "
        "spelling of -e, KEDRO_ENV"
    )


def test_an_input_that_no_file_has_is_named():
    assert line(lambda: SequentialRunner().run(PIPELINE, DataCatalog())) == (
        "pipeline inputs missing: 'first'; add them to catalog.yml or parameters.yml"
    )


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"node_names": ["no"]}, "the pipeline has no nodes named 'no'; see `kedro registry"),
        ({"from_inputs": ["no"]}, "the pipeline has no datasets named 'no'; see `kedro registry"),
        ({"tags": ["no"]}, "the filters select no nodes; check the spelling of --tags"),
    ],
)
def test_a_choice_of_nodes_that_is_empty_names_what_is_unknown(choice, said):
    assert line(lambda: PIPELINE.filter(**choice)).startswith(said)


def test_an_unknown_runner_is_told_with_those_that_there_are():
    assert line(lambda: load_obj("Fast", "kedro.runner")) == (
        "--runner: 'Fast' does not exist; expected one of SequentialRunner, ThreadRunner, "
        "ParallelRunner"
    )


def test_a_run_that_mlflow_does_not_have_is_told_with_the_variable_that_names_it(empty_database):
    client = mlflow.MlflowClient(f"sqlite:///{empty_database}")
    assert line(lambda: client.get_run("nonsense")) == (
        "MLFLOW_RUN_ID: run 'nonsense' does not exist in the tracking database; unset the variable"
    )
