"""Every pipeline must translate into an Azure ML job."""

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from support import ROOT, run_kedro

bootstrap_project(ROOT)
AZURE = {
    "AZURE_STORAGE_ACCOUNT_NAME": "quartetdata",
    "AZURE_STORAGE_ANON": "false",
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
}


@pytest.mark.parametrize("name", sorted(set(pipelines) - {"__default__"}))
def test_each_node_becomes_a_step_with_its_datasets_connected(workspace, name):
    job_file = workspace / "job.yml"
    result = run_kedro(
        workspace,
        *("azureml", "-e", "azureml", "compile", "-p", name, "-o", str(job_file)),
        environment=AZURE,
    )
    assert result.returncode == 0, result.stderr
    job = yaml.safe_load(job_file.read_text())
    pipeline = pipelines[name]
    assert job["jobs"].keys() == {node.name for node in pipeline.nodes}
    for node in pipeline.nodes:
        step = job["jobs"][node.name]
        made_before = {name for name in node.inputs if name in pipeline.all_outputs()}
        assert set(step.get("inputs", {})) >= made_before
        assert f"--node={node.name}" in step["component"]["command"]
