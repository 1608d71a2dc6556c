"""Study databases are shared safely, and other databases are not changed."""

import sqlite3
from contextlib import closing

import optuna
import pytest
from kedro.io import DatasetError

from quartet.datasets.study import StudyDataset, open_storage


def dataset(path):
    return StudyDataset(filepath=str(path))


def run_study(path, trials=2):
    storage = open_storage(str(path))
    study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return study


def test_reopened_study_has_its_trials(tmp_path):
    store = dataset(tmp_path / "folder/study.db").load()
    for expected in (2, 4):
        with store.open() as path:
            assert len(run_study(path).trials) == expected


def test_remote_study_is_uploaded_during_the_run():
    store = dataset("memory://studies/study.db").load()
    with pytest.raises(RuntimeError), store.open() as path:
        run_study(path)
        store.upload()
        raise RuntimeError("the machine is taken away")
    with store.open() as path:
        assert len(run_study(path, trials=0).trials) == 2


def test_locked_database_raises(tmp_path):
    path = tmp_path / "study.db"
    run_study(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(DatasetError, match="locked by another process"),
            dataset(path).load().open(),
        ):
            pass


@pytest.mark.parametrize(
    ("is_database", "message"),
    [
        (True, r"not an Optuna database \(its tables: customers\); move the file"),
        (False, "not a study database"),
    ],
)
def test_other_file_raises_and_is_unchanged(tmp_path, is_database, message):
    path = tmp_path / "study.db"
    if is_database:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE customers (name TEXT)")
    else:
        path.write_bytes(b"notes " * 1000)
    before = path.read_bytes()
    with pytest.raises(DatasetError, match=message), dataset(path).load().open():
        pass
    assert path.read_bytes() == before


def test_database_of_another_optuna_version_raises(tmp_path):
    path = tmp_path / "study.db"
    run_study(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE version_info SET schema_version = 1")
        connection.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    connection.close()
    with pytest.raises(DatasetError, match="the study database cannot be used"):
        open_storage(str(path))
