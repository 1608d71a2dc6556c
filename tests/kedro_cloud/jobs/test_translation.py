"""Errors that only occur on a cluster must be found before a step starts."""

import re

import pytest
from kedro.pipeline import Node, Pipeline

from kedro_cloud.jobs.translation import (
    check_apostrophes,
    check_datasets,
    check_local_paths,
    check_pipeline_name,
)

PIPELINE = Pipeline(
    [Node(lambda a: a, "made", "read"), Node(lambda a, b: a, ["raw", "params:x"], "made")]
)


def entry(**changes):
    return {"type": "json.JSONDataset", "filepath": "abfs://work/a.json", **changes}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (entry(filepath="data/a.json"), "is stored on the step's own machine (data/a.json)"),
        (
            {"type": "x.Segments", "path": "/tmp/segments"},
            "is stored on the step's own machine (/tmp/segments)",
        ),
        ({"type": "MemoryDataset"}, "is kept in memory"),
        ({"type": "kedro.io.MemoryDataset"}, "is kept in memory"),
    ],
)
def test_data_that_other_machines_cannot_read_is_rejected(made, reason):
    catalog = {"raw": entry(), "read": entry(), "made": made}
    expected = rf"cluster: dataset 'made' {re.escape(reason)}; store it on abfs://.*in conf/mine"
    with pytest.raises(ValueError, match=expected):
        check_datasets(PIPELINE, catalog, "mine")


@pytest.mark.parametrize(
    "made",
    [
        entry(),
        {
            "type": "kedro_azureml.datasets.AzureMLPipelineDataset",
            "root_dir": "data",
            "dataset": {},
        },
        None,  # the plugin passes it on as a pickle
    ],
)
def test_data_that_other_machines_can_read_is_accepted(made):
    catalog = {"raw": entry(), "read": entry()} | ({"made": made} if made else {})
    check_datasets(PIPELINE, catalog, "mine")


def test_patterns_and_transcoding_are_rejected():
    catalog = {"raw": entry(), "{any}d": entry(), "m{any}": entry()}
    message = (
        "'made' matches only the pattern 'm{any}', but needs its own entry; "
        "dataset 'read' matches only the pattern '{any}d', but"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_datasets(PIPELINE, catalog, "mine")
    transcoded = Pipeline([Node(lambda a: a, "raw", "made@pandas")])
    with pytest.raises(ValueError, match="'made@pandas' is transcoded, which kedro-azureml does"):
        check_datasets(transcoded, {"raw": entry(), "made@pandas": entry()}, "mine")


@pytest.mark.parametrize("value", ["/home/me/x.mp4", "~/x.mp4", "films/x.mp4", "x.mp4"])
def test_a_local_file_as_parameter_is_rejected(value, tmp_path):
    for name in ("films/x.mp4", "x.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f"parameter 'a.video': {value} does not exist") as caught:
        check_local_paths({"a": {"video": value}}, tmp_path, tmp_path / "code")
    assert f"--upload {value}=mine --params a.video=abfs://mine/x.mp4" in str(caught.value)


def test_files_of_the_snapshot_and_other_texts_are_accepted(tmp_path):
    (tmp_path / "code/conf").mkdir(parents=True)
    for name in ("conf", "wave"):  # "wave" is more likely a word than this folder
        (tmp_path / name).mkdir()
    for folder in (tmp_path, tmp_path / "code"):
        (folder / "conf/known.yml").touch()
    params = {"a": "conf/known.yml", "b": "abfs://mine/x.mp4", "c": 3, "style": "wave", "d": ""}
    check_local_paths(params, tmp_path, tmp_path / "code")


@pytest.mark.parametrize("params", [{"a": {"title": "Hokusai's"}}, {"it's": 1}, {"a": ["it's"]}])
def test_an_apostrophe_is_rejected(params):
    with pytest.raises(ValueError, match="cannot pass an apostrophe to a step"):
        check_apostrophes(params)


def test_an_unknown_pipeline_like_no_other_is_reported_with_all_names():
    with pytest.raises(ValueError, match="expected one of faq_tuning, mnist_training"):
        check_pipeline_name("zzz", ["mnist_training", "faq_tuning"])
