"""Steps on a cluster send telemetry with the cluster's identity, or the job runs without it."""

import logging
from types import SimpleNamespace

import click
import pytest
from kedro_azureml.cli_functions import parse_extra_env_params

import ingestion
from control_plane.documents import GROUP_ID, WORKSPACE_ID
from control_plane.signin import CLIENT
from kedro_cloud.cli import azureml as commands
from kedro_cloud.core.variables import AUTHENTICATION_STRING, CONNECTION_STRING
from kedro_cloud.monitoring import telemetry
from kedro_cloud.monitoring.step_variables import step_variables
from kedro_cloud.publishing.component import CompiledPipeline
from kedro_cloud.workspace.connection import connect
from plain import PIPELINE, edit
from support import GUARD_S

INSIGHTS = f"{GROUP_ID}/providers/Microsoft.Insights/components/quartet-insights"
ENDPOINT = f"https://{ingestion.HOST}"
SHORT = f"InstrumentationKey={ingestion.KEY};IngestionEndpoint={ENDPOINT}/"
COMPLETE = f"{SHORT};LiveEndpoint=https://live.example.com/;ApplicationId={CLIENT}"


def add_insights(plane):
    workspace = plane.resources.get(WORKSPACE_ID)
    workspace["properties"]["applicationInsights"] = INSIGHTS
    plane.resources.put(INSIGHTS, {"properties": {"ConnectionString": COMPLETE}})


def test_steps_get_the_connection_string_and_sign_in_as_the_cluster(plane, project):
    add_insights(plane)
    variables = step_variables(connect(project, "azureml"), project, "azureml")
    assert variables == {CONNECTION_STRING: SHORT, AUTHENTICATION_STRING: "Authorization=AAD"}


def test_a_workspace_without_application_insights_disables_telemetry(plane, project, caplog):
    assert step_variables(connect(project, "azureml"), project, "azureml") == {}
    assert [each for each in caplog.records if each.name.startswith("kedro_cloud")] == []


def test_an_unreadable_connection_string_warns_and_fails_no_job(plane, project, caplog):
    add_insights(plane)
    plane.resources.delete(INSIGHTS)
    with caplog.at_level(logging.WARNING, "kedro_cloud"):
        assert step_variables(connect(project, "azureml"), project, "azureml") == {}
    [warning] = [
        record.getMessage() for record in caplog.records if record.name.startswith("kedro_cloud")
    ]
    assert "'quartet-insights' cannot be read" in warning
    assert "telemetry: none" in warning


@pytest.mark.parametrize("setting", ["none", None])
def test_disabled_telemetry_sends_no_request(plane, project, setting):
    add_insights(plane)
    edit(project / "conf/azureml/cloud.yml", telemetry=setting)
    client = connect(project, "azureml")
    requests = len(plane.requests)
    assert step_variables(client, project, "azureml") == {}
    assert len(plane.requests) == requests


def test_telemetry_is_sent_with_the_token_of_the_sender(plane, monkeypatch):
    collector = ingestion.Ingestion(ENDPOINT)
    plane.services[ingestion.HOST] = collector
    monkeypatch.setenv(AUTHENTICATION_STRING, "Authorization=AAD")
    sender = telemetry.Telemetry(SHORT, flush_s=GUARD_S)
    sender.end(sender.begin("study", {"pipeline": "study"}))
    assert sender.flush() == ""
    [request] = [request for request in plane.requests if request.host == ingestion.HOST]
    assert plane.sign_in.knows(request)
    assert [each["name"] for each in collector.data_of("RequestData")] == ["study"]
    assert plane.refused == []


@pytest.mark.usefixtures("plain_pipelines")
def test_a_submitted_job_has_the_variables_but_env_var_overrides_them(plane, project):
    add_insights(plane)
    own = f"{AUTHENTICATION_STRING}=Authorization=AAD;ClientId=mine"
    seen = {}
    metadata = SimpleNamespace(project_path=project)
    context = SimpleNamespace(metadata=metadata, env="azureml")
    options = {"pipeline": PIPELINE, "params": "", "subscription_id": ""}
    options |= {"aml_env": "image:1", "image": "", "env_var": (own,)}
    with click.Context(click.Command("run"), obj=context):
        commands.run_job(lambda **given: seen.update(given), **options)
    variables = parse_extra_env_params(seen["env_var"])
    assert variables == {
        CONNECTION_STRING: SHORT,
        AUTHENTICATION_STRING: "Authorization=AAD;ClientId=mine",
    }


def test_a_published_pipeline_has_the_variables_in_every_step_and_another_version(plane, project):
    steps = {name: {"environment_variables": {"OWN": "1"}} for name in ("train", "evaluate")}
    compiled = CompiledPipeline(project, "study", "plain", {"jobs": steps})
    extended = compiled.with_variables({CONNECTION_STRING: SHORT})
    found = [step["environment_variables"] for step in extended.document["jobs"].values()]
    assert found == [{"OWN": "1", CONNECTION_STRING: SHORT}] * 2
    assert steps["train"] == {"environment_variables": {"OWN": "1"}}
    assert extended.content != compiled.content
