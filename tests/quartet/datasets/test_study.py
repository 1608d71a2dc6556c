"""A study's database must be shared safely, and nobody else's must be written into."""

import sqlite3
from contextlib import closing

import optuna
import pytest
from kedro.io import DatasetError

from quartet.datasets.study import StudyDataset, open_storage


def dataset(path):
    return StudyDataset(filepath=str(path))


def study_in(path, trials=2):
    storage = open_storage(str(path))
    study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return study


def test_trials_are_there_when_the_study_is_opened_again(tmp_path):
    store = dataset(tmp_path / "folder/study.db").load()
    for expected in (2, 4):
        with store.open() as path:
            assert len(study_in(path).trials) == expected


def test_trials_on_other_storage_are_kept_as_they_finish():
    store = dataset("memory://studies/study.db").load()
    with pytest.raises(RuntimeError), store.open() as path:
        study_in(path)
        store.upload()
        raise RuntimeError("the machine is taken away")
    with store.open() as path:
        assert len(study_in(path, trials=0).trials) == 2


def test_a_locked_database_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "study.db"
    study_in(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(DatasetError, match="locked by another process"),
            dataset(path).load().open(),
        ):
            pass


def test_a_database_of_something_else_is_refused_and_untouched(tmp_path):
    path = tmp_path / "study.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    before = path.read_bytes()
    complaint = r"not of Optuna \(it has customers\); move the file"
    with pytest.raises(DatasetError, match=complaint), dataset(path).load().open():
        pass
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path):
    path = tmp_path / "study.db"
    path.write_bytes(b"notes " * 1000)
    with pytest.raises(DatasetError, match="not a study database"), dataset(path).load().open():
        pass
    assert path.read_bytes() == b"notes " * 1000


def test_a_database_of_another_optuna_is_named(tmp_path):
    path = tmp_path / "study.db"
    study_in(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE version_info SET schema_version = 1")
        connection.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    connection.close()
    with pytest.raises(DatasetError, match="the study database cannot be used"):
        open_storage(str(path))


def test_a_study_is_no_output(tmp_path):
    with pytest.raises(DatasetError, match="an input, never an output"):
        dataset(tmp_path / "study.db").save("anything")
