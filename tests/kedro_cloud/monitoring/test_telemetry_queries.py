"""Queries use only fields that are sent; a misspelt field gives an empty page without an error."""

import re

import pytest
import yaml

from ingestion import PROPERTIES
from support import ROOT

QUERIES = {file.stem: file for file in (ROOT / "infra/queries").glob("*.kql")}
_ANY = {"TimeGenerated"}
_APP = _ANY | {"AppRoleName", "OperationId", "Properties", "ItemCount"}
COLUMNS = {
    # Written by telemetry; Log Analytics renames the exporter's fields.
    "AppRequests": _APP | {"Name", "Success", "DurationMs"},
    "AppDependencies": _APP | {"Name", "Success", "DurationMs", "DependencyType"},
    "AppMetrics": _APP | {"Name", "Sum", "Min", "Max"},
    # Written by the diagnostic settings of the Azure ML workspace; from Microsoft's table
    # reference, without columns that identify users.
    "AmlRunStatusChangedEvent": _ANY | {"RunId", "ParentRunId", "RootRunId", "Status"},
    "AmlComputeClusterEvent": _ANY
    | {
        "AllocationState",
        "ClusterName",
        "CurrentNodeCount",
        "EventType",
        "IdleNodeCount",
        "LeavingNodeCount",
        "MaximumNodeCount",
        "MinimumNodeCount",
        "PreemptedNodeCount",
        "PreparingNodeCount",
        "QuotaAllocated",
        "QuotaUtilized",
        "RunningNodeCount",
        "TargetNodeCount",
        "UnusableNodeCount",
        "VmPriority",
        "VmSize",
    },
}
_LANGUAGE = set(
    re.findall(
        r"\w+",
        "where summarize by join kind leftouter on project order asc desc extend and or in not "
        "ago max min sum count dcount round percentile bin iff next now tostring toint tolong "
        "take_any take_anyif minif make_set isnotnull Properties",
    )
)
"""Operators and functions of the query language that the queries use."""


def find_unknown(query):
    """Return the words of a query that are neither of the language nor sent fields or aliases."""
    code = re.sub(r"//.*", "", query)
    text = re.sub(r'"[^"]*"|\b\d+[dhm]?\b', " ", code)  # without strings, numbers, time spans
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    tables = words & COLUMNS.keys()
    columns = set().union(*(COLUMNS[table] for table in tables))
    aliases = set(re.findall(r"\b(\w+)\s*=(?![=~])", text))
    properties = set(re.findall(r"Properties\.(\w+)", text)) & PROPERTIES
    unknown = words - tables - columns - aliases - properties - _LANGUAGE
    return unknown if tables else unknown | {"no table"}


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_uses_only_sent_fields(name):
    assert find_unknown(QUERIES[name].read_text()) == set()


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("AppRequests | where Succeeded", {"Succeeded"}),
        ("AppRequests | project tostring(Properties.user)", {"user"}),
        ("AppMetrics | summarize avgg(Sum)", {"avgg"}),
        ("AppRequest | where TimeGenerated > ago(1d)", {"no table", "AppRequest", "TimeGenerated"}),
    ],
)
def test_a_misspelt_name_is_found(query, unknown):
    assert find_unknown(query) == unknown


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_metric_in_a_query_is_reported_by_its_pipeline(name):
    metrics = re.findall(r'"(\w+)/(\w+)"', QUERIES[name].read_text())
    for pipeline, metric in metrics:
        file = "sensors" if pipeline.startswith(("anomaly_", "sensor_")) else pipeline
        page = (ROOT / f"docs/reference/{file}.md").read_text()
        assert f"Metrics of `{pipeline}`" in page
        assert re.search(rf"^\|[^|]*`{metric}`", page, re.MULTILINE)


def test_the_workbook_contains_exactly_the_queries():
    text = (ROOT / "infra/modules/workbook.bicep").read_text()
    assert set(re.findall(r"loadTextContent\('\.\./queries/(\w+)\.kql'\)", text)) == set(QUERIES)


def test_each_primary_metric_is_reported_by_its_pipeline():
    cloud = yaml.safe_load((ROOT / "conf/azureml/cloud.yml").read_text())["cloud"]
    pages = "".join(file.read_text() for file in (ROOT / "docs/reference").glob("*.md"))
    undocumented = [
        f"{pipeline}/{metric}"
        for pipeline, metric in cloud["primary_metrics"].items()
        if f"`{metric}`" not in pages
    ]
    assert undocumented == []
