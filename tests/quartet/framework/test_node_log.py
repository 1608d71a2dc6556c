"""The log names each node with its pipeline, and its time when it has ended."""

import logging
from itertools import count

from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from quartet.framework.hooks import NodeLogHooks


def numbers():
    yield from ([1], [2], [3])


def read(numbers):
    assert numbers


def fail(numbers):
    raise ValueError("no")


WRITE = Node(numbers, None, "numbers", name="write", namespace="faq.tune")
READ = Node(read, "numbers", None, name="read", namespace="faq")
FAIL = Node(fail, "numbers", "lost", name="fail", namespace="faq")


def make_hooks():
    """Return hooks whose clock advances by a second per call."""
    return NodeLogHooks(count().__next__)


def log_of(caplog, *nodes, hooks=None):
    """Run nodes and return the messages."""
    manager = _create_hook_manager()
    manager.register(hooks or make_hooks())
    given = {"run_params": {}, "pipeline": Pipeline(nodes), "catalog": DataCatalog()}
    manager.hook.before_pipeline_run(**given)
    with caplog.at_level(logging.INFO, logger="quartet"):
        try:
            result = SequentialRunner().run(given["pipeline"], given["catalog"], manager)
        except ValueError as error:
            manager.hook.on_pipeline_error(error=error, **given)
        else:
            manager.hook.after_pipeline_run(run_result=result, **given)
    return [record.message for record in caplog.records if "quartet" in record.name]


def test_a_node_is_completed_when_its_last_output_is_saved(caplog):
    """A generator saves its output in parts: four calls of the clock after the start."""
    assert log_of(caplog, WRITE, READ) == [
        "Running node: faq.tune.write (1 of 2)",
        "Completed node: faq.tune.write in 4.0 s",
        "Running node: faq.read (2 of 2)",
        "Completed node: faq.read in 1.0 s",
    ]


def test_a_failed_node_is_not_completed(caplog):
    assert log_of(caplog, WRITE, FAIL)[1:] == [
        "Completed node: faq.tune.write in 4.0 s",
        "Running node: faq.fail (2 of 2)",
    ]


def test_a_second_run_of_a_process_is_logged_alone(caplog):
    hooks = make_hooks()
    log_of(caplog, WRITE, READ, hooks=hooks)
    caplog.clear()
    assert len(log_of(caplog, WRITE, READ, hooks=hooks)) == 4
