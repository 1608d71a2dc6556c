"""Run the trials of a study in parallel: in processes of one machine, or on MPI ranks.

All share the study through Optuna's storage: a SQLite file, or for other ranks Optuna's
gRPC proxy in front of it. Processes of one machine share a budget of trials and ranks
divide it, so that exactly the requested number of trials is run.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from multiprocessing import synchronize
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import joblib
import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from kedro_cloud.core import ranks
from kedro_cloud.core.processes import is_alive, note_first_signal
from quartet import faq
from quartet.datasets.study import BUSY_SECONDS, StudyStore, open_storage
from quartet.datasets.study_heartbeats import HeartbeatProxy
from quartet.faq.study import Objective

logger = logging.getLogger(__name__)


@contextmanager
def run_study(store: StudyStore, name: str, objective: Objective) -> Iterator[optuna.Study]:
    """Run the missing trials of a study and yield the finished study.

    Under MPI this is a collective operation: all ranks must call it, and each gets the study.

    Args:
        store: Database with the trials of earlier runs, which count.
        name: Name of the study.
        objective: Objective and settings, such as the number of trials.

    Raises:
        KeyboardInterrupt: A stop was requested; running trials have finished.
    """
    _silence_optuna()
    settings, has_other_ranks = objective.settings, ranks.size() > 1
    with ExitStack() as stack:
        path, host = "", ranks.host()
        if ranks.rank() == 0:
            path = stack.enter_context(store.open())
            storage = open_storage(path)
            study = _create_study(storage, name, objective)
            missing = max(0, settings.trials - len(faq.trials.get_finished_trials(study)))
            port = _serve_storage(storage, host) if has_other_ranks else 0
            ranks.broadcast((host, port, missing))
        else:
            host, port, missing = ranks.broadcast()
            proxy = HeartbeatProxy(host=host, port=port)
            proxy.wait_server_ready(timeout=BUSY_SECONDS)
            study = _load_study(proxy, name, objective)
        share = len(ranks.shard(range(missing)))
        processes = 0 if has_other_ranks else min(settings.workers, share) - 1
        _run_missing_trials(study, objective, share, processes, path, store)
        ranks.barrier()  # all trials have finished when a rank reads the study
        yield study
        ranks.barrier()  # the proxy runs until the last rank has read the study


def _silence_optuna() -> None:
    """Silence Optuna's log; the progress bar shows trials, and the study keeps their errors."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _create_study(
    storage: optuna.storages.BaseStorage, name: str, objective: Objective
) -> optuna.Study:
    """Load the study, or create it with the default parameters as first trial."""
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=faq.study.make_pruner(objective.settings, objective.space),
    )
    if not study.get_trials(deepcopy=False):
        start = faq.study.make_start_parameters(objective.space)
        study.enqueue_trial(start, user_attrs={faq.trials.START: True})
    _retry_abandoned(study)
    return study


def _load_study(
    storage: optuna.storages.BaseStorage, name: str, objective: Objective
) -> optuna.Study:
    pruner = faq.study.make_pruner(objective.settings, objective.space)
    return optuna.load_study(storage=storage, study_name=name, pruner=pruner)


def _retry_abandoned(study: optuna.Study) -> None:
    """Retry trials whose worker on this machine has died.

    Optuna retries those of other machines once their heartbeats have stopped.
    """
    retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        host, _, process = trial.user_attrs.get("worker", ":").partition(":")
        if host and (host != socket.gethostname() or is_alive(int(process))):
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        retry(study, trial)
        logger.warning("trial %s is retried: its worker died", trial.number)


def _serve_storage(storage: optuna.storages.BaseStorage, host: str) -> int:
    """Start Optuna's proxy for the other ranks in a daemon thread; return its port."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    server = threading.Thread(
        target=optuna.storages.run_grpc_proxy_server,
        args=(storage,),
        kwargs={"host": host, "port": port},
        daemon=True,
    )
    server.start()
    return int(port)


def _run_missing_trials(
    study: optuna.Study,
    objective: Objective,
    missing: int,
    processes: int,
    path: str,
    store: StudyStore,
) -> None:
    """Run the missing trials in this process and in additional worker processes.

    Args:
        study: The study of this process.
        objective: The objective of a trial.
        missing: Trials to run.
        processes: Worker processes besides this one; none if it is below 1.
        path: The database of the study, which worker processes open.
        store: Uploads the database after each trial.

    The current trial of a worker that dies is retried in this process.

    Raises:
        KeyboardInterrupt: A signal was received; the running trials have finished. Raised in the
            handler, it would be lost while SQLAlchemy returns a connection.
    """
    # Only the main thread receives signals.
    is_main = threading.current_thread() is threading.main_thread()
    noting: AbstractContextManager[list[int]] = note_first_signal() if is_main else nullcontext([])
    with noting as signals, _show_progress(study, objective, store) as update:

        def run(budget: threading.Semaphore | synchronize.Semaphore) -> None:
            def stop_on_request(*_: Any) -> None:
                while signals and budget.acquire(False):
                    pass  # with an empty budget no worker starts another trial

            stop_on_request()
            faq.study.run_trials(
                study, objective, budget, _name_worker(), [update, stop_on_request]
            )

        if processes > 0:
            before = faq.trials.count_ended(study)
            budget = multiprocessing.get_context("spawn").Semaphore(missing)
            with _start_workers(processes, path, study.study_name, objective, budget) as workers:
                run(budget)
                for worker in workers:
                    worker.join()
                    if worker.exitcode:
                        logger.warning("a study worker exited with code %s", worker.exitcode)
            _retry_abandoned(study)
            missing = max(0, missing - faq.trials.count_ended(study) + before)
        run(threading.Semaphore(missing))
    if signals:
        raise KeyboardInterrupt


@contextmanager
def _start_workers(
    count: int, path: str, name: str, objective: Objective, budget: synchronize.Semaphore
) -> Iterator[list[SpawnProcess]]:
    """Start worker processes; terminate those still running on exit."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # Workers map this file, so that the features are in memory once.
        file = Path(folder) / "objective.joblib"
        joblib.dump(objective, file)
        processes = [
            context.Process(target=_run_worker, args=(str(file), path, name, budget), daemon=True)
            for _ in range(count)
        ]
        for process in processes:
            process.start()
        try:
            yield processes
        finally:
            for process in processes:
                process.terminate()
                process.join()


def _run_worker(file: str, path: str, name: str, budget: synchronize.Semaphore) -> None:
    """Run trials until the budget is spent or the parent process has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _silence_optuna()
    objective: Objective = joblib.load(file, mmap_mode="r")
    study = _load_study(open_storage(path), name, objective)
    parent = os.getppid()

    def stop_without_parent(study: optuna.Study, _: FrozenTrial) -> None:
        if os.getppid() != parent:
            study.stop()

    faq.study.run_trials(study, objective, budget, _name_worker(), [stop_without_parent])


def _name_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def _show_progress(
    study: optuna.Study, objective: Objective, store: StudyStore
) -> Iterator[Callable[[optuna.Study, FrozenTrial], None]]:
    """Show a progress bar with the best metric; yield the callback that updates it."""
    best, shown = -1.0, ranks.rank() == 0
    done = len(faq.trials.get_finished_trials(study))
    bar = tqdm(
        total=objective.settings.trials,
        initial=done,
        desc="tuning the ranker",
        unit="trial",
        disable=None if shown else True,
    )

    def update(study: optuna.Study, _: FrozenTrial) -> None:
        nonlocal best
        trials = faq.trials.get_finished_trials(study)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        leader = max(complete, key=faq.trials.get_metric, default=None)
        bar.n = min(len(trials), objective.settings.trials)
        # Rounded as it is logged, so that no value is logged twice.
        reached = -1.0 if leader is None else round(faq.trials.get_metric(leader), 4)
        if shown and leader is not None and reached > best:
            best, metric = reached, objective.settings.metric
            bar.set_postfix_str(f"best {metric} {best:.4f}", refresh=False)
            logger.info("trial %s: %s %.4f, the best so far", leader.number, metric, best)
        bar.refresh()
        store.upload()

    with bar:
        yield update
