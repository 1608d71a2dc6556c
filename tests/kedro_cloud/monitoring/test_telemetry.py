"""A run reports names and numbers to Application Insights, never user data."""

import logging
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.pandas import CSVDataset

import ingestion
from control_plane.messages import Answer
from kedro_cloud.core import extras
from kedro_cloud.core.variables import CONNECTION_STRING
from kedro_cloud.jobs.hooks import STEP
from kedro_cloud.monitoring import hooks as telemetry_hooks
from kedro_cloud.monitoring import telemetry
from kedro_cloud.monitoring.hooks import TelemetryHooks
from support import GUARD_S, ROOT

PRIVATE = "/home/jane.doe/videos/Wedding of Jane.mp4"
ROWS = 7
logger = logging.getLogger("quartet.tests")


def read_table(path):
    logger.warning("file %s has %d bad rows", path, 3)
    return pd.DataFrame({"secret": [PRIVATE] * ROWS})


def measure(table):
    return {"test_accuracy": 0.5, "rows": len(table), "broken": float("nan")}


def fail(table):
    raise ValueError(f"dataset 'table': row {table.iloc[0, 0]} is not a number; fix the file")


def pipeline(last):
    outputs = "study_metrics" if last is measure else None
    return Pipeline(
        [
            Node(read_table, "params:path", "table", name="read_table"),
            Node(last, "table", outputs, name="last_node"),
        ]
    )


def run(nodes, hooks, datasets=None):
    """Run a pipeline with hooks, as a Kedro session does."""
    manager = _create_hook_manager()
    manager.register(hooks)
    catalog = DataCatalog({"params:path": MemoryDataset(PRIVATE), **(datasets or {})})
    params = {"pipeline_name": "study", "runtime_params": {"path": PRIVATE}}
    manager.hook.before_pipeline_run(run_params=params, pipeline=nodes, catalog=catalog)
    try:
        outputs = SequentialRunner().run(nodes, catalog, manager)
    except Exception as error:
        manager.hook.on_pipeline_error(
            error=error, run_params=params, pipeline=nodes, catalog=catalog
        )
        raise
    manager.hook.after_pipeline_run(
        run_params=params, run_result=outputs, pipeline=nodes, catalog=catalog
    )


@pytest.fixture
def collector(monkeypatch):
    """Yield a collector; the flush waits for it even on a busy machine."""
    slow = partial(telemetry.Telemetry, flush_s=GUARD_S)
    monkeypatch.setattr(telemetry, "_REQUEST_S", GUARD_S)
    monkeypatch.setattr(telemetry, "Telemetry", slow)
    with ingestion.running() as collector:
        monkeypatch.setenv(CONNECTION_STRING, collector.connection_string)
        monkeypatch.delenv(telemetry.JOB, raising=False)
        yield collector


@pytest.fixture
def warnings():
    """Yield the warnings of telemetry that reach the root logger."""
    own = (telemetry_hooks.__name__, "azure.monitor", "opentelemetry")
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.addFilter(lambda record: record.name.startswith(own))
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    yield messages
    logging.getLogger().removeHandler(handler)


def sent(collector):
    return b"".join(collector.bodies).decode()


def test_a_run_is_a_request_and_each_node_a_dependency_of_it(collector):
    run(pipeline(measure), TelemetryHooks())
    [request] = collector.data_of("RequestData")
    assert (request["name"], request["success"]) == ("study", True)
    nodes = collector.data_of("RemoteDependencyData")
    assert [node["name"] for node in nodes] == ["read_table", "last_node"]
    assert [node["properties"]["rows"] for node in nodes] == [str(ROWS), "0"]
    assert all(float(node["properties"]["seconds"]) >= 0 for node in nodes)
    parents = {
        item["tags"]["ai.operation.parentId"]
        for item in collector.items
        if item["data"]["baseType"] == "RemoteDependencyData"
    }
    assert parents == {request["id"]}


def test_metrics_of_metrics_json_become_gauges_if_they_are_numbers(collector):
    run(pipeline(measure), TelemetryHooks())
    found = {
        point["name"]: (point["value"], data["properties"]["pipeline"])
        for data in collector.data_of("MetricData")
        for point in data["metrics"]
    }
    assert found == {"study/test_accuracy": (0.5, "study"), "study/rows": (ROWS, "study")}


def test_a_failure_is_reported_by_node_and_exception_class(collector):
    with pytest.raises(ValueError, match="not a number"):
        run(pipeline(fail), TelemetryHooks())
    [request] = collector.data_of("RequestData")
    assert request["success"] is False
    assert request["properties"]["node"] == "last_node"
    assert request["properties"]["error"] == "ValueError"
    read, failed = collector.data_of("RemoteDependencyData")
    assert (read["success"], failed["success"]) == (True, False)
    assert "error" not in read["properties"]
    assert failed["properties"]["error"] == "ValueError"


def test_a_failure_to_load_is_reported_with_its_cause(collector):
    """Kedro raises DatasetError for all of these, so the cause is needed."""
    nodes = Pipeline([Node(measure, "table", "study_metrics", name="measure")])
    datasets = {"table": CSVDataset(filepath=f"/nowhere/{PRIVATE}")}
    with pytest.raises(DatasetError):
        run(nodes, TelemetryHooks(), datasets)
    [failed] = collector.data_of("RemoteDependencyData")
    assert failed["properties"]["error"] == "DatasetError from FileNotFoundError"
    assert PRIVATE not in sent(collector)


TAGS = {
    "ai.cloud.role",
    "ai.cloud.roleInstance",
    "ai.device.type",
    "ai.internal.nodeName",
    "ai.internal.sdkVersion",
    "ai.location.ip",
    "ai.operation.id",
    "ai.operation.name",
    "ai.operation.parentId",
}
FIELDS = {
    "RequestData": {"ver", "id", "name", "duration", "success", "responseCode"},
    "RemoteDependencyData": {"ver", "id", "name", "duration", "success", "type", "resultCode"},
    "MetricData": {"ver", "metrics"},
}


def test_nothing_of_data_parameters_user_or_machine_is_sent(collector, monkeypatch):
    """A new version of the exporter must not send further fields."""
    monkeypatch.setenv(telemetry.JOB, "hungry_island_7")
    with pytest.raises(ValueError, match="not a number"):
        run(pipeline(fail), TelemetryHooks())
    run(pipeline(measure), TelemetryHooks())
    text = sent(collector)
    private = [PRIVATE, "jane", "Wedding", "bad rows", "not a number"]
    private += [os.uname().nodename, str(ROOT), str(Path.cwd())]
    assert [each for each in private if each in text] == []
    for item in collector.items:
        assert item["tags"].keys() <= TAGS
        assert item["tags"]["ai.location.ip"] == "0.0.0.0"
        base = item["data"]["baseData"]
        assert base.get("measurements", {}) == {}
        known = FIELDS[item["data"]["baseType"]] | {"properties", "measurements"}
        assert base.keys() <= known
        assert base["properties"].keys() <= ingestion.PROPERTIES


def test_all_steps_of_a_job_share_one_trace_and_have_their_name(collector, monkeypatch):
    monkeypatch.setenv(telemetry.JOB, "hungry_island_7")
    for step in ("prepare", "train"):
        token = STEP.set(("study", step))
        run(pipeline(measure), TelemetryHooks())
        STEP.reset(token)
    requests = [item for item in collector.items if item["data"]["baseType"] == "RequestData"]
    assert len({item["tags"]["ai.operation.id"] for item in requests}) == 1
    properties = [item["data"]["baseData"]["properties"] for item in requests]
    assert [(each["job"], each["step"]) for each in properties] == [
        ("hungry_island_7", "prepare"),
        ("hungry_island_7", "train"),
    ]


UNREACHABLE = f"InstrumentationKey={ingestion.KEY};IngestionEndpoint=http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("refusal", "connection_string"),
    [
        (Answer.error(403, "Forbidden", "no role"), None),
        (Answer(503), None),
        (None, UNREACHABLE),
        (None, "InstrumentationKey=none"),
    ],
    ids=["rejected", "overloaded", "unreachable", "invalid"],
)
def test_a_fault_fails_no_run_and_warns_once(
    collector, monkeypatch, warnings, refusal, connection_string
):
    collector.refusal = refusal
    if connection_string:
        monkeypatch.setenv(CONNECTION_STRING, connection_string)
    run(pipeline(measure), TelemetryHooks())
    assert collector.bodies == []
    assert len(warnings) == 1


def test_a_hanging_collector_delays_a_run_by_the_timeout_only(collector, warnings):
    """The flush returns although the collector does not respond before the end of the test."""
    never = threading.Event()
    collector.wait = never.wait
    hooks = TelemetryHooks()
    hooks._telemetry = telemetry.Telemetry(collector.connection_string, flush_s=0.05)
    try:
        run(pipeline(measure), hooks)
    finally:
        never.set()
    [warning] = warnings
    assert "not sent within 0.05 s" in warning


@pytest.mark.parametrize(
    ("variables", "enabled"),
    [
        ({}, False),
        ({CONNECTION_STRING: " "}, False),
        ({CONNECTION_STRING: "InstrumentationKey=x"}, True),
        ({CONNECTION_STRING: "InstrumentationKey=x", "OMPI_COMM_WORLD_RANK": "1"}, False),
        ({CONNECTION_STRING: "InstrumentationKey=x", "OMPI_COMM_WORLD_RANK": "0"}, True),
    ],
)
def test_telemetry_needs_a_connection_string_and_the_first_rank(monkeypatch, variables, enabled):
    monkeypatch.delenv(CONNECTION_STRING, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert telemetry_hooks.is_enabled() is enabled


def test_disabled_telemetry_imports_nothing_and_fails_no_run(monkeypatch):
    monkeypatch.delenv(CONNECTION_STRING, raising=False)
    code = (
        "import sys; from kedro_cloud.hooks import telemetry; "
        "telemetry.before_pipeline_run({}); telemetry.after_pipeline_run(); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(("data", "rows"), [(np.zeros((5, 3)), "5"), ([1, 2, 3], "3")])
def test_rows_are_counted_of_arrays_and_lists(collector, data, rows):
    node = Node(lambda path: data, "params:path", "made", name="make")
    run(Pipeline([node]), TelemetryHooks())
    [dependency] = collector.data_of("RemoteDependencyData")
    assert dependency["properties"]["rows"] == rows


def test_telemetry_without_its_extra_is_reported_and_the_run_continues(monkeypatch, caplog):
    monkeypatch.setenv(CONNECTION_STRING, "InstrumentationKey=x")
    monkeypatch.delitem(sys.modules, "kedro_cloud.monitoring.telemetry", raising=False)
    for name in [*sys.modules]:
        if name.split(".")[:2] == ["azure", "monitor"]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "azure.monitor", None)
    hooks = TelemetryHooks()
    with caplog.at_level(logging.WARNING):
        hooks.before_pipeline_run({"pipeline_names": ["any"]})
        hooks.after_pipeline_run()
    (record,) = caplog.records
    reason = extras.format_missing("it", "azure")
    assert record.getMessage() == f"telemetry is switched off ({reason}); the run continues"
