"""A study must complete even if workers die, and must never lose a finished trial."""

import os
import signal
import socket
import sqlite3
from contextlib import closing

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from faq.conftest import FEATURES, make_tables
from faq.killing_objective import KillingObjective
from quartet.datasets.study import StudyDataset, open_storage
from quartet.datasets.study_heartbeats import HeartbeatProxy
from quartet.faq.corpus_index import index_tables
from quartet.faq.pairs import make_labelled_questions, make_training_pairs
from quartet.faq.search_space import SearchSpace
from quartet.faq.settings import StudySettings
from quartet.faq.similarity import Comparer
from quartet.faq.study import Objective
from quartet.faq.tables import indices_of
from quartet.faq.text import fit_encoder
from quartet.faq.trials import find_best_trial, get_finished_trials
from quartet.pipelines.faq_tuning import search
from quartet.pipelines.faq_tuning.search import run_study
from support import GUARD_S

SPACE = SearchSpace(word_ngrams=1, trees=40, negatives={"low": 2, "high": 6})


@pytest.fixture(scope="module")
def objective():
    originals, duplicates, answers = make_tables()
    encoder = fit_encoder([*duplicates["text"], *originals["text"]], FEATURES, (1,))
    index = index_tables(encoder, originals, duplicates, answers)
    comparer = Comparer.fit(index, ["word1"], FEATURES)
    pairs = make_training_pairs(comparer, 4, np.random.default_rng(0))
    asked = duplicates.iloc[::3]
    texts = ["my " + text for text in asked["text"]]
    labelled = make_labelled_questions(
        comparer, encoder.encode(texts), indices_of(originals, asked)
    )
    return Objective(pairs, labelled, SPACE, StudySettings(seed=1, trials=8, report_every=5))


def with_settings(objective, **changes):
    settings = objective.settings.model_copy(update=changes)
    return Objective(objective.train, objective.tune, objective.space, settings)


@pytest.fixture
def store(tmp_path):
    return StudyDataset(filepath=str(tmp_path / "study.db")).load()


pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used")


def test_two_workers_run_exactly_the_requested_trials(objective, store):
    parallel = with_settings(objective, workers=2, trials=10)
    with run_study(store, "s", parallel) as study:
        trials = study.trials
    assert sorted(trial.number for trial in trials) == list(range(10))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all("worker" in trial.user_attrs for trial in trials)


def test_a_finished_study_is_not_rerun_and_can_be_extended(objective, store):
    with run_study(store, "s", objective) as study:
        first = [trial.datetime_complete for trial in study.trials]
    with run_study(store, "s", objective) as study:
        assert [trial.datetime_complete for trial in study.trials] == first
    with run_study(store, "s", with_settings(objective, trials=10)) as study:
        assert [trial.datetime_complete for trial in study.trials][:8] == first
        assert len(get_finished_trials(study)) == 10


def test_studies_share_the_file_but_not_their_trials(objective, store):
    for name in ("one", "two"):
        with run_study(store, name, with_settings(objective, trials=2)) as study:
            assert len(study.trials) == 2


def test_the_trial_of_a_killed_worker_is_retried(objective, store, tmp_path, caplog):
    settings = objective.settings.model_copy(update={"workers": 2, "pruner": "none"})
    killing = KillingObjective(
        objective.train, objective.tune, SPACE, settings, os.getpid(), tmp_path / "killed"
    )
    with run_study(store, "s", killing) as study:
        states = [trial.state for trial in study.trials]
        (lost,) = [trial for trial in study.trials if trial.state == TrialState.FAIL]
        again = [trial for trial in study.trials if trial.params == lost.params]
    assert not lost.user_attrs["worker"].endswith(f":{os.getpid()}")
    assert len(get_finished_trials(study)) == settings.trials
    assert TrialState.RUNNING not in states
    assert len(again) == 2  # the retry has the same parameters
    assert "exited with code -9" in caplog.text


def test_a_trial_of_a_dead_run_is_retried_on_resuming(objective, store, tmp_path):
    with run_study(store, "s", with_settings(objective, trials=2)):
        pass
    study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "study.db")))
    running = study.ask()
    running.suggest_int("negatives", 2, 6)
    running.set_user_attr("worker", f"{socket.gethostname()}:999999999")
    with run_study(store, "s", with_settings(objective, trials=4)) as study:
        assert study.trials[2].state == TrialState.FAIL
        assert len(get_finished_trials(study)) == 4
        assert study.trials[3].params["negatives"] == running.params["negatives"]


def test_a_trial_that_runs_elsewhere_is_not_retried(objective, store, tmp_path):
    with run_study(store, "s", with_settings(objective, trials=2)):
        pass
    study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "study.db")))
    study.ask().set_user_attr("worker", "another-host:1")
    study.ask().set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
    with run_study(store, "s", with_settings(objective, trials=3)) as study:
        states = [trial.state for trial in study.trials[2:4]]
    assert states == [TrialState.RUNNING] * 2


@pytest.mark.parametrize("over_proxy", [False, True])
def test_a_trial_of_a_lost_machine_is_retried(objective, store, tmp_path, over_proxy):
    with run_study(store, "s", with_settings(objective, trials=2)):
        pass
    path = str(tmp_path / "study.db")
    storage = open_storage(path)
    if over_proxy:
        port = search._serve_storage(storage, "127.0.0.1")
        storage = HeartbeatProxy(host="127.0.0.1", port=port)
        storage.wait_server_ready(GUARD_S)
    lost = optuna.load_study(study_name="s", storage=storage).ask()
    lost.set_user_attr("worker", "lost-machine:1")
    negatives = lost.suggest_int("negatives", 2, 6)
    storage.record_heartbeat(lost._trial_id)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE trial_heartbeats SET heartbeat = '2026-01-01 00:00:00'")
    with run_study(store, "s", with_settings(objective, trials=3)) as study:
        _, _, first, retry = study.trials
    assert (first.state, first.params["negatives"]) == (TrialState.FAIL, negatives)
    assert (retry.state, retry.params["negatives"]) == (TrialState.COMPLETE, negatives)


def test_trials_that_always_fail_are_not_retried(objective, store):
    class Broken(Objective):
        def __call__(self, trial):
            raise MemoryError("out of memory")

    broken = Broken(objective.train, objective.tune, objective.space, objective.settings)
    with run_study(store, "s", broken) as study:
        assert len(study.trials) == 8
        with pytest.raises(ValueError, match="out of memory"):
            find_best_trial(study)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_after_the_running_trials(objective, store, number):
    class Stopping(Objective):
        def __call__(self, trial):
            signal.raise_signal(number)
            return super().__call__(trial)

    before = signal.getsignal(number)
    data = objective.train, objective.tune, objective.space
    stopping = Stopping(*data, objective.settings)
    with pytest.raises(KeyboardInterrupt), run_study(store, "s", stopping):
        pass
    assert signal.getsignal(number) is before
    with run_study(store, "s", with_settings(objective, trials=1)) as study:
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]


def test_a_trial_that_a_second_signal_interrupts_is_not_recorded_as_failed(objective, store):
    class Stopping(Objective):
        def __call__(self, trial):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    stopping = Stopping(objective.train, objective.tune, objective.space, objective.settings)
    with pytest.raises(KeyboardInterrupt), run_study(store, "s", stopping):
        pass
    with run_study(store, "s", with_settings(objective, trials=0)) as study:
        assert [trial.state for trial in study.trials] == [TrialState.RUNNING]
