"""Runs a study's trials side by side: in processes of this machine, or on MPI ranks.

All share the study through Optuna's own storage: a SQLite file on one machine,
Optuna's gRPC proxy in front of it for the other ranks. Workers of one machine share
a budget of trials, ranks divide it, so that there are as many as were asked for.
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
from contextlib import ExitStack, contextmanager
from multiprocessing import synchronize
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from kedro_cloud.core import ranks
from kedro_cloud.core.processes import is_alive
from quartet import faq
from quartet.datasets.study import BUSY_SECONDS, StudyStore, open_storage
from quartet.datasets.study_heartbeats import HeartbeatProxy
from quartet.faq.study import Objective

logger = logging.getLogger(__name__)


@contextmanager
def finished_study(store: StudyStore, name: str, objective: Objective) -> Iterator[optuna.Study]:
    """The study with as many finished trials as the settings ask for.

    Trials that the store has already are not run again. Under MPI every rank
    must enter, and every rank gets the study.
    """
    _silence_optuna()
    settings, several = objective.settings, ranks.size() > 1
    with ExitStack() as stack:
        path, host = "", ranks.host()
        if ranks.rank() == 0:
            path = stack.enter_context(store.open())
            storage = open_storage(path)
            study = _create(storage, name, objective)
            missing = max(0, settings.trials - len(faq.trials.get_finished_trials(study)))
            port = _serve(storage, host) if several else 0
            ranks.broadcast((host, port, missing))
        else:
            host, port, missing = ranks.broadcast()
            proxy = HeartbeatProxy(host=host, port=port)
            proxy.wait_server_ready(timeout=BUSY_SECONDS)
            study = _load(proxy, name, objective)
        share = len(ranks.shard(range(missing)))
        helpers = 0 if several else min(settings.workers, share) - 1
        _run_missing(study, objective, share, helpers, path, store)
        ranks.barrier()  # what is read of the study now must be all of it, on every rank
        yield study
        ranks.barrier()  # the proxy must stay until the last rank has read it


def _silence_optuna() -> None:
    """Trials are shown by the progress bar, and kept in the study with their failures."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _create(storage: optuna.storages.BaseStorage, name: str, objective: Objective) -> optuna.Study:
    """The stored study, or a new one with the parameters to start from as its first trial."""
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


def _load(storage: optuna.storages.BaseStorage, name: str, objective: Objective) -> optuna.Study:
    pruner = faq.study.make_pruner(objective.settings, objective.space)
    return optuna.load_study(storage=storage, study_name=name, pruner=pruner)


def _retry_abandoned(study: optuna.Study) -> None:
    """Retry trials whose worker on this machine has died, at once.

    Those of other machines are retried by Optuna, when their heartbeats have stopped for long.
    """
    retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        host, _, process = trial.user_attrs.get("worker", ":").partition(":")
        if host and (host != socket.gethostname() or is_alive(int(process))):
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        retry(study, trial)
        logger.warning("retrying trial %s: its worker died", trial.number)


def _serve(storage: optuna.storages.BaseStorage, host: str) -> int:
    """Start Optuna's proxy for the other ranks; its port. It ends with this process."""
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


def _run_missing(
    study: optuna.Study,
    objective: Objective,
    missing: int,
    helpers: int,
    path: str,
    store: StudyStore,
) -> None:
    """Run the missing trials; this process is the first worker.

    A helper that dies costs its current trial, which is retried here.

    Raises:
        KeyboardInterrupt: The run was to stop; trials under way have ended.
    """
    with noted_stop_requests() as requested, _progress(study, objective, store) as update:

        def run(budget: threading.Semaphore | synchronize.Semaphore) -> None:
            def stop_on_request(*_: Any) -> None:
                while requested.is_set() and budget.acquire(False):
                    pass  # no worker starts another trial

            stop_on_request()
            faq.study.run_trials(study, objective, budget, _worker(), [update, stop_on_request])

        if helpers > 0:
            before = faq.trials.count_ended(study)
            budget = multiprocessing.get_context("spawn").Semaphore(missing)
            with _helpers(helpers, path, study.study_name, objective, budget) as started:
                run(budget)
                for process in started:
                    process.join()
                    if process.exitcode:
                        logger.warning("a study worker ended with code %s", process.exitcode)
            _retry_abandoned(study)
            missing = max(0, missing - faq.trials.count_ended(study) + before)
        run(threading.Semaphore(missing))


@contextmanager
def _helpers(
    count: int, path: str, name: str, objective: Objective, budget: synchronize.Semaphore
) -> Iterator[list[SpawnProcess]]:
    """Start further processes that run trials; terminate those still running on leaving."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # Written once, mapped by all: the features are in memory only once.
        file = Path(folder) / "objective.joblib"
        joblib.dump(objective, file)
        processes = [
            context.Process(target=_help, args=(str(file), path, name, budget), daemon=True)
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


def _help(file: str, path: str, name: str, budget: synchronize.Semaphore) -> None:
    """Run trials until the budget is spent or the parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _silence_optuna()
    objective: Objective = joblib.load(file, mmap_mode="r")
    study = _load(open_storage(path), name, objective)
    parent = os.getppid()

    def stop_without_parent(study: optuna.Study, _: FrozenTrial) -> None:
        if os.getppid() != parent:
            study.stop()

    faq.study.run_trials(study, objective, budget, _worker(), [stop_without_parent])


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def _progress(
    study: optuna.Study, objective: Objective, store: StudyStore
) -> Iterator[Callable[[optuna.Study, FrozenTrial], None]]:
    """Show a bar with the best value so far; yield the callback that updates it."""
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
        # Rounded as it is shown: a better fifth digit would be told as the same value again.
        reached = -1.0 if leader is None else round(faq.trials.get_metric(leader), 4)
        if shown and leader is not None and reached > best:
            best, metric = reached, objective.settings.metric
            bar.set_postfix_str(f"best {metric} {best:.4f}", refresh=False)
            logger.info("trial %s: %s %.4f, the best so far", leader.number, metric, best)
        bar.refresh()
        store.upload()

    with bar:
        yield update


@contextmanager
def noted_stop_requests() -> Iterator[threading.Event]:
    """Note Ctrl-C and SIGTERM, and raise KeyboardInterrupt on leaving; a second one kills.

    What a handler raises is lost where it comes while SQLAlchemy returns a connection or Python
    clears an object away, and between two trials it often does.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested  # only the main thread receives signals
        return

    def note(number: int, _: FrameType | None) -> None:
        requested.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if requested.is_set():
        raise KeyboardInterrupt
