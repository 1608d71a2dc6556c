"""The FAQ pipelines register a ranker and answer new questions."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import mlflow
import pandas as pd
import pytest

from support import GUARD_S, clean_environment, on_ranks, read_metrics, run_kedro, run_program

REPORTS = "data/08_reporting/faq_tuning"
TUNE = ("run", "--pipelines", "faq_tuning")
MINIMAL = "faq_study_settings.trials=2"
"""Parameters of a study as short as possible."""


@pytest.fixture(scope="module")
def client(trained_workspace):
    return mlflow.MlflowClient(f"sqlite:///{trained_workspace}/mlflow.db")


def test_metrics_have_all_documented_keys(trained_workspace):
    metrics = read_metrics(trained_workspace, "faq_tuning")
    assert metrics.keys() >= {"test_mean_rank", "seconds_per_trial"}


def test_the_ranker_beats_all_baselines_on_the_sample(trained_workspace):
    found = read_metrics(trained_workspace, "faq_tuning")
    assert found["test_gain_at_1"] > 0.6
    for k in (1, 3):
        theirs = [
            found[f"baseline_{name}_gain_at_{k}"]
            for name in ("cosine", "nearest_duplicate", "reference")
        ]
        assert found[f"test_gain_at_{k}"] > max(theirs)


def test_the_ranker_is_registered_with_its_metrics(trained_workspace, client):
    (version,) = client.search_model_versions("name='FAQ_ranker'")
    found = read_metrics(trained_workspace, "faq_tuning")
    assert float(version.tags["metric.test_gain_at_1"]) == pytest.approx(found["test_gain_at_1"])
    assert len(version.tags["known_data_sha256"]) == 64
    assert version.tags["library.lightgbm"].startswith("4.")


def test_new_questions_are_answered(trained_workspace):
    matches = pd.read_parquet(trained_workspace / "data/07_model_output/faq/matches.parquet")
    assert matches["rank"].tolist() == [1, 2, 3] * (len(matches) // 3)
    assert matches["answer"].str.len().min() > 0
    found = read_metrics(trained_workspace, "faq_matching")
    assert found["questions"] == len(matches) // 3 >= 10
    assert found["ranker_version"] == 1


@pytest.fixture
def project(trained_workspace, tmp_path):
    """Return a project in which all pipelines have run."""
    return shutil.copytree(trained_workspace, tmp_path / "project")


def test_the_same_seed_gives_the_same_ranker_and_no_second_version(project, trained_workspace):
    (project / "data/06_models/faq/study.db").unlink()
    # The reference recipe takes longer than everything else and does not affect the ranker.
    result = run_kedro(project, *TUNE, "--params", "reference_recipe.trees=20")
    assert result.returncode == 0, result.stderr
    first, second = (
        {
            name: value
            for name, value in read_metrics(folder, "faq_tuning").items()
            if "seconds" not in name and not name.startswith("baseline_reference")
        }
        for folder in (trained_workspace, project)
    )
    assert first == second
    ranker = "data/06_models/faq/ranker.safetensors"
    assert (project / ranker).read_bytes() == (trained_workspace / ranker).read_bytes()
    release = json.loads((project / REPORTS / "release.json").read_text())
    assert not release["approved"]
    assert "not better, version 1 stays" in release["reason"]


def finished_trials(path):
    if not path.exists():
        return 0
    query = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(query).fetchone()[0]
        except sqlite3.OperationalError:  # the tables are being created
            return 0


def test_a_stopped_study_resumes(project):
    study = project / "data/06_models/faq/study.db"
    study.unlink()
    command = [sys.executable, "-m", "kedro", *TUNE, "--nodes", "tune_ranker"]
    parameters = "faq_study_settings.workers=2,faq_search_space.trees=100"
    # So many trials that the run is always stopped before the last one.
    long_run = [*command, "--params", f"{parameters},faq_study_settings.trials=100000"]
    with subprocess.Popen(
        long_run, cwd=project, env=clean_environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        while finished_trials(study) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in errors, errors
    before = finished_trials(study)
    assert before >= 2
    resumed_run = [*command, "--params", f"{parameters},faq_study_settings.trials={before + 3}"]
    result = run_program(*resumed_run, folder=project)
    assert result.returncode == 0, result.stderr
    trials = pd.read_csv(project / REPORTS / "trials.csv")
    assert trials["state"].isin(["complete", "pruned"]).tolist() == [True] * (before + 3)


def test_ranks_share_one_study_and_one_tracked_run(project):
    """Two trials on three ranks, so that one rank has no trial."""
    (project / "data/06_models/faq/study.db").unlink()
    command = on_ranks(3, "-m", "kedro", *TUNE, "--nodes", "tune_ranker", "--params", MINIMAL)
    result = run_program(*command, folder=project)
    assert result.returncode == 0, result.stderr
    trials = pd.read_csv(project / REPORTS / "trials.csv")
    assert trials["worker"].value_counts().tolist() == [1, 1]
    with closing(sqlite3.connect(project / "data/06_models/faq/study.db")) as database:
        heartbeats = "SELECT count(DISTINCT trial_id) FROM trial_heartbeats"
        assert database.execute(heartbeats).fetchone() == (2,)
    own = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiment = own.get_experiment_by_name("quartet-faq").experiment_id
    runs = own.search_runs([experiment])
    assert len([run for run in runs if "mlflow.parentRunId" not in run.data.tags]) == 1


def test_a_failing_rank_ends_the_others(project):
    (project / "data/06_models/faq/study.db").write_bytes(b"no database " * 100)
    command = on_ranks(2, "-m", "kedro", *TUNE, "--nodes", "tune_ranker")
    result = run_program(*command, folder=project, timeout=GUARD_S)
    assert result.returncode != 0
    assert "not a study database" in result.stderr


def test_invalid_rows_are_quarantined_and_the_others_used(project):
    import gzip

    path = project / "data/01_raw/faq/dup-q.tsv.gz"
    rows = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(rows + b"1\t2\n9\t999\tnobody's\t\nx\ty\tz\t\n8\t1\t\xff\t\n"))
    result = run_kedro(project, *TUNE, "--nodes", "clean_tables")
    assert result.returncode == 0, result.stderr
    quarantine = pd.read_csv(project / REPORTS / "quarantine.csv")
    assert quarantine["reason"].tolist() == [
        "has another number of columns",
        "is not UTF-8",
        "its original is unknown or set aside",
        "its original is unknown or set aside",
    ]


def test_stackfaq_reaches_the_gains_of_the_readme(workspace, real_stackfaq):
    result = run_kedro(workspace, *TUNE, "--params", f"faq_data={real_stackfaq}")
    assert result.returncode == 0, result.stderr
    found = read_metrics(workspace, "faq_tuning")
    assert found["originals"] == 125
    assert found["duplicates"] == 1249
    # One split of 125 questions: the mean of five splits is measured by the benchmarks.
    assert found["test_gain_at_1"] >= 0.92
    assert found["test_gain_at_3"] >= 0.97
    for name in ("cosine", "nearest_duplicate", "reference"):
        assert found["test_gain_at_1"] > found[f"baseline_{name}_gain_at_1"]
