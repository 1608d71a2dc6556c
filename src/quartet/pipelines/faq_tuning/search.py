"""Runs a study's trials side by side: in processes of this machine, or on MPI ranks.

All share the study through Optuna's own storage: a SQLite file on one machine,
Optuna's gRPC proxy in front of it for the other ranks. Whoever runs trials takes
a ticket for each, so that there are as many as were asked for.
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
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
import optuna
from optuna.trial import TrialState
from tqdm import tqdm

from kedro_cloud.core import ranks
from kedro_cloud.core.processes import is_alive
from quartet import faq
from quartet.datasets.study import BUSY_SECONDS, StudyStore, open_storage
from quartet.faq.study import Objective

logger = logging.getLogger(__name__)


@contextmanager
def finished_study(store: StudyStore, name: str, objective: Objective) -> Iterator[optuna.Study]:
    """The study with as many finished trials as the settings ask for.

    Trials that the store has already are not run again. Under MPI every rank
    must enter, and every rank gets the study.
    """
    _silence_optuna()
    with ExitStack() as stack:
        storage: optuna.storages.BaseStorage
        host = ranks.host()
        if ranks.rank() == 0:
            path = stack.enter_context(store.opened())
            storage = open_storage(path)
            study = _create(storage, name, objective)
            missing = max(0, objective.settings.trials - len(faq.trials.finished(study)))
            port = _serve(storage, host) if ranks.size() > 1 else 0
            ranks.broadcast((host, port, missing))
            if ranks.size() > 1:
                _run_share(study, objective, missing, store)
            else:
                _run_here(study, objective, missing, path, store)
        else:
            host, port, missing = ranks.broadcast()
            storage = optuna.storages.GrpcStorageProxy(host=host, port=port)
            storage.wait_server_ready(timeout=BUSY_SECONDS)
            study = _load(storage, name, objective)
            _run_share(study, objective, missing, store)
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
        start = faq.study.start_parameters(objective.space)
        study.enqueue_trial(start, user_attrs={faq.trials.START: True})
    _retry_abandoned(study)
    return study


def _load(storage: optuna.storages.BaseStorage, name: str, objective: Objective) -> optuna.Study:
    pruner = faq.study.make_pruner(objective.settings, objective.space)
    return optuna.load_study(storage=storage, study_name=name, pruner=pruner)


def _retry_abandoned(study: optuna.Study) -> None:
    """Fail trials whose worker has died, and queue their parameters again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, _, process = trial.user_attrs.get("worker", ":").partition(":")
        if host and (host != socket.gethostname() or is_alive(int(process))):
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        faq.study.try_again(study, trial)
        logger.warning("trial %s was abandoned by its worker and is tried again", trial.number)


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


def _run_share(study: optuna.Study, objective: Objective, missing: int, store: StudyStore) -> None:
    """Run this rank's share of the missing trials."""
    tickets = iter(ranks.shard(range(missing)))
    with _progress(study, objective, store, shown=ranks.rank() == 0) as update:
        faq.study.run_trials(
            study, objective, lambda: next(tickets, None) is not None, _worker(), update
        )


def _run_here(
    study: optuna.Study, objective: Objective, missing: int, path: str, store: StudyStore
) -> None:
    """Run the missing trials on this machine; this process is the first worker.

    A worker that dies costs its current trial, which is tried again here.
    """
    before = _ended(study)
    helpers = min(objective.settings.workers, missing) - 1
    with _progress(study, objective, store) as update, ExitStack() as stack:
        if helpers > 0:
            tickets: Any = multiprocessing.get_context("spawn").Semaphore(missing)
            started = stack.enter_context(
                _helpers(helpers, path, study.study_name, objective, tickets)
            )
            take: Callable[[], bool] = lambda: tickets.acquire(block=False)  # noqa: E731
            faq.study.run_trials(study, objective, take, _worker(), update)
            for process in started:
                process.join()
                if process.exitcode:
                    logger.warning("a worker of the study ended with code %s", process.exitcode)
            _retry_abandoned(study)
        left = iter(range(missing - (_ended(study) - before)))
        faq.study.run_trials(
            study, objective, lambda: next(left, None) is not None, _worker(), update
        )


def _ended(study: optuna.Study) -> int:
    """Trials that ran to an end, be it a failure of their own; not those abandoned."""
    states = (*faq.trials.FINISHED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=states)
    return sum(not faq.trials.was_abandoned(trial) for trial in trials)


@contextmanager
def _helpers(
    count: int, path: str, name: str, objective: Objective, tickets: Any
) -> Iterator[list[SpawnProcess]]:
    """Further processes that run trials; ended, if they still run, on leaving."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # Written once, mapped by all: the features are in memory only once.
        file = Path(folder) / "objective.joblib"
        joblib.dump(objective, file)
        processes = [
            context.Process(target=_help, args=(str(file), path, name, tickets), daemon=True)
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


def _help(file: str, path: str, name: str, tickets: Any) -> None:
    """What a helper does, until there are no tickets or its parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _silence_optuna()
    objective: Objective = joblib.load(file, mmap_mode="r")
    study = _load(open_storage(path), name, objective)
    parent = os.getppid()
    faq.study.run_trials(
        study,
        objective,
        lambda: os.getppid() == parent and tickets.acquire(block=False),
        _worker(),
    )


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def _progress(
    study: optuna.Study, objective: Objective, store: StudyStore, shown: bool = True
) -> Iterator[Callable[[optuna.Study], None]]:
    """A bar with the best value so far, brought up to date by what it yields."""
    best = -1.0
    done = len(faq.trials.finished(study))
    bar = tqdm(
        total=objective.settings.trials,
        initial=done,
        desc="tuning the ranker",
        unit="trial",
        disable=None if shown else True,
    )

    def update(study: optuna.Study) -> None:
        nonlocal best
        raise_if_stopped()
        trials = faq.trials.finished(study)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        leader = max(complete, key=faq.trials.metric_reached, default=None)
        bar.n = min(len(trials), objective.settings.trials)
        # Rounded as it is shown: a better fifth digit would be told as the same value again.
        reached = -1.0 if leader is None else round(faq.trials.metric_reached(leader), 4)
        if shown and leader is not None and reached > best:
            best, metric = reached, objective.settings.metric
            bar.set_postfix_str(f"best {metric} {best:.4f}", refresh=False)
            logger.info("trial %s: %s %.4f, the best so far", leader.number, metric, best)
        bar.refresh()
        store.keep()

    with bar, noticed_interrupts() as raise_if_stopped:
        yield update


def _is_finalising(frame: FrameType | None) -> bool:
    """Return whether SQLAlchemy returns a connection, where it logs any exception and goes on."""
    while frame is not None:
        if frame.f_code.co_name == "_finalize_fairy":
            return True
        frame = frame.f_back
    return False


@contextmanager
def noticed_interrupts() -> Iterator[Callable[[], None]]:
    """What raises KeyboardInterrupt if one has come, for it does not always arrive.

    Python swallows what is raised while an object is cleared away, and between two trials
    database connections often are.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # only the main thread is interrupted
        return

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        if not _is_finalising(frame):
            signal.default_int_handler(number, frame)

    def raise_if_stopped() -> None:
        if came.is_set():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield raise_if_stopped
    finally:
        signal.signal(signal.SIGINT, before)
