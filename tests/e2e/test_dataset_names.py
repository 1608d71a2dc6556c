"""A data set of the user leaves the samples alone: files, database, registered models, results."""

import hashlib
import shutil

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from quartet.datasets.idx import IDXDataset
from quartet.datasets.tables import TSVDataset
from quartet.digits.sample import load_bundled_digits
from style_inputs import stripes
from support import QUICK, drop_times, read_metrics, run_kedro

pytestmark = pytest.mark.integration
MODELS = ("mnist_classifier", "FAQ_ranker", "sensor_models")
PIPELINES = (
    "mnist_training,faq_tuning,faq_matching,style_transfer,"
    "sensor_ingestion,anomaly_training,anomaly_scoring"
)


def write_digits(folder):
    """Write 300 of scikit-learn's digits as training set, and as many as test set."""
    found = load_bundled_digits()
    for part, rows in (("train", slice(0, 600, 2)), ("t10k", slice(1, 600, 2))):
        images, labels = found["images"][rows], found["labels"][rows]
        IDXDataset(filepath=f"{folder}/{part}-images-idx3-ubyte.gz").save(images)
        IDXDataset(filepath=f"{folder}/{part}-labels-idx1-ubyte.gz").save(labels)


def write_questions(folder):
    """Write nine questions about paint, each with five duplicates, and one that is new."""
    things = ("door", "window", "roof", "floor", "wall", "stair", "garden", "cellar", "kitchen")
    phrases = (
        *("how do i paint the {}?", "new colour for my {}", "the {} looks shabby, what paint?"),
        *("which brush for a {}", "{} needs painting", "painting a {} in winter"),
    )
    rows = [
        (10 * i + j, 1000 + i, phrase.format(thing), "2026-01-01")
        for i, thing in enumerate(things)
        for j, phrase in enumerate(phrases)
    ]
    questions = pd.DataFrame(rows, columns=["Id", "AnswerId", "Text0", "CreationDate"])
    answers = [(1000 + i, f"Sand the {thing} first.") for i, thing in enumerate(things)]
    first = ~questions["AnswerId"].duplicated()
    tables = {"orig-q": questions[first], "dup-q": questions[~first]}
    tables["ans"] = pd.DataFrame(answers, columns=["Id", "Text0"])
    for name, table in tables.items():
        dataset = TSVDataset(filepath=f"{folder}/{name}.tsv.gz", columns=list(table.columns))
        dataset.save(table)
    new = pd.DataFrame({"Id": [1], "Text0": ["paint for my garden"]})
    new.to_csv(f"{folder}/new-questions.csv", index=False)


def write_readings(path):
    """Write two days of a press, every half minute."""
    times = pd.date_range("2026-01-01", periods=2 * 2880, freq="30s", tz="UTC")
    values = np.random.default_rng(0).normal(5, 0.1, len(times))
    columns = {"TS": times, "Device": "press-1", "Sensor": "pressure", "Value": values}
    pd.DataFrame(columns).to_csv(path, index=False)


def digests(project):
    """Return the SHA-256 of each file of the samples and of the styles."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((project / "data").rglob("*"))
        if path.is_file() and not path.is_relative_to(project / "data/paint")
    }


def versions(project):
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    return {entry.name: int(entry.version) for entry in client.search_model_versions()}


def metrics(folder, pipeline, data="data"):
    return drop_times(read_metrics(folder, pipeline, data))


@pytest.fixture(scope="module")
def project(trained_workspace, tmp_path_factory):
    """A project in which the samples have run, and then a data set `paint`."""
    folder = tmp_path_factory.mktemp("names") / "project"
    shutil.copytree(trained_workspace, folder)
    before = digests(folder)
    raw = folder / "data/paint/01_raw"
    for name in ("mnist", "faq"):
        (raw / name).mkdir(parents=True)
    write_digits(raw / "mnist")
    write_questions(raw / "faq")
    write_readings(raw / "readings.csv")
    Image.fromarray(stripes()).save(raw / "stripes.png")
    given = (
        "dataset_name=paint,sensor_table=data/paint/01_raw/readings.csv,"
        f"video=data/paint/01_raw/stripes.png,{QUICK},"
        "faq_study_settings.trials=2,reference_recipe.trees=20"
    )
    done = run_kedro(folder, "run", "--pipelines", PIPELINES, "--params", given)
    assert done.returncode == 0, done.stderr
    assert digests(folder) == before
    return folder


def test_each_data_set_has_its_own_reports_and_models(project, trained_workspace):
    for pipeline in PIPELINES.split(","):
        sample = metrics(trained_workspace, pipeline)
        assert metrics(project, pipeline) == sample
        assert metrics(project, pipeline, "data/paint") != sample
    expected = dict.fromkeys(MODELS, 1) | {f"{name}_paint": 1 for name in MODELS}
    assert versions(project) == expected
    assert (project / "data/paint/03_primary/sensors/sensors.db").is_file()
    assert list((project / "data/paint/07_model_output/style/stylized").glob("stripes_*"))


def test_questions_are_answered_by_those_of_their_own_data_set(project):
    matches = pd.read_parquet(project / "data/paint/07_model_output/faq/matches.parquet")
    assert "garden" in matches.loc[0].to_string()
    sample = pd.read_csv(project / "data/08_reporting/faq_matching/matches.csv")
    assert "paint" not in sample.to_string()


def test_data_without_a_name_does_not_replace_the_models_of_the_samples(project):
    before = digests(project)
    for pipeline, given in (
        ("mnist_training", "mnist_data=data/paint/01_raw/mnist"),
        ("faq_tuning", "faq_data=data/paint/01_raw/faq"),
        ("faq_matching", "faq_data=data/paint/01_raw/faq"),
        ("anomaly_scoring", "sensor_database=sqlite:///data/paint/03_primary/sensors/sensors.db"),
    ):
        done = run_kedro(project, "run", "--pipelines", pipeline, "--params", given)
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert "--params dataset_name=NAME" in line
    assert digests(project) == before


def test_missing_model_is_advised_for_the_same_data_set(project):
    given = ("--params", "dataset_name=plant,faq_questions=data/paint/01_raw/faq/new-questions.csv")
    done = run_kedro(project, "run", "--pipelines", "faq_matching", *given)
    assert done.returncode == 1
    expected = "run `kedro run --pipelines faq_tuning --params dataset_name=plant` first"
    assert f"FAQ_ranker_plant: no version is registered; {expected}" in done.stderr


def test_samples_give_the_same_results_after_another_data_set(project, trained_workspace):
    """Their files are unchanged, as `project` checks; what is left to confuse are the models."""
    stored = "data/07_model_output/sensors/predictions/"
    predictions = {path: digest for path, digest in digests(project).items() if stored in str(path)}
    # The scoring has no new windows.
    done = run_kedro(project, "run", "--pipelines", "faq_matching,anomaly_scoring")
    assert done.returncode == 0, done.stderr
    expected = metrics(trained_workspace, "faq_matching")
    assert metrics(project, "faq_matching") == expected
    assert predictions
    assert digests(project).items() >= predictions.items()
    assert set(versions(project).values()) == {1}
