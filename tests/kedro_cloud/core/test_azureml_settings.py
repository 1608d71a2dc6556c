"""An error in azureml.yml is reported with its file and key, before kedro-azureml reads it."""

from types import SimpleNamespace

import pytest
import yaml
from kedro.framework.project import settings

from kedro_cloud.core import azureml_settings
from kedro_cloud.core.errors import is_user_error
from kedro_cloud.jobs.hooks import StepHooks
from kedro_cloud.workspace import faults
from support import ROOT, bootstrap, needs_azure

bootstrap()

BASE = ("azure: {subscription_id: a, resource_group: b, workspace_name: c, experiment_name: d}",)
CLUSTERS = "compute: {__default__: {cluster_name: cpu}}"
AZURE = (
    "azure:",
    "  subscription_id: a",
    "  resource_group: b",
    "  workspace_name: c",
    "  experiment_name: d",
    "  pipeline_data_passing: {enabled: true}",
    f"  {CLUSTERS}",
    "steps: {merged: true}",
)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes azureml.yml of two environments, and returns the second."""
    for environment in ("base", "azureml"):
        (tmp_path / "conf" / environment).mkdir(parents=True)

    def run(text):
        (tmp_path / "conf/base/azureml.yml").write_text("\n".join(BASE))
        file = tmp_path / "conf/azureml/azureml.yml"
        file.write_text(text)
        return file

    return run


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (CLUSTERS, "compute: [cpu]", "azure.compute should be a mapping (given: ['cpu']); fix or"),
        ("cluster_name", "clustername", "azure.compute.__default__.cluster_name is missing; "),
        ("__default__", "cpu", "azure: compute.__default__ is missing"),
        ("  workspace_name: c\n", "", "azure.workspace_name is missing; add it"),
        ("workspace_name", "workspace", "azure.workspace is not a setting (given: 'c'); fix or"),
        ("subscription_id: a", "subscription_id: 3", "azure.subscription_id should be a valid str"),
        ("{enabled: true}", "{enabled: x}", "azure.pipeline_data_passing.enabled should be a va"),
        ("steps: {merged: true}", "steps: {merge: true}", "steps.merge is not a setting"),
        ("steps:", "stps:", "stps is not a setting; fix or remove it"),
        ("\n".join(AZURE), "azure:", "azure should be a mapping (given: None); fix or remove it"),
    ],
)
def test_the_file_and_the_key_are_named(write, tmp_path, old, new, message):
    text = "\n".join(AZURE)
    assert old in text
    file = write(text.replace(old, new))
    loader = settings.CONFIG_LOADER_CLASS(
        str(tmp_path / "conf"), env="azureml", **settings.CONFIG_LOADER_ARGS
    )
    context = SimpleNamespace(config_loader=loader, env="azureml", project_path=tmp_path)
    for read in (
        lambda: StepHooks().after_context_created(context),  # kedro azureml, kedro cloud rehearse
        lambda: faults.workspace_settings(tmp_path, "azureml"),  # other commands of kedro cloud
    ):
        with pytest.raises(ValueError, match=r"azureml\.yml: ") as raised:
            read()
        assert is_user_error(raised.value)
        assert str(raised.value).startswith(f"{file}: ")
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)


def test_texts_for_true_and_false_mean_what_they_say(write, tmp_path):
    write("\n".join(AZURE).replace("merged: true", "merged: 'no'"))
    loader = settings.CONFIG_LOADER_CLASS(
        str(tmp_path / "conf"), env="azureml", **settings.CONFIG_LOADER_ARGS
    )
    assert azureml_settings.read_settings(loader).steps.merged is False


@pytest.mark.parametrize("environment", ["base", "azureml"])
def test_the_projects_files_are_valid(environment):
    found = faults.workspace_settings(ROOT, environment)
    written = yaml.safe_load((ROOT / "conf" / environment / "azureml.yml").read_text())["azure"]
    assert found["experiment_name"] == written["experiment_name"]
    assert found["compute"] == written.get("compute")


@needs_azure
def test_every_setting_of_kedro_azureml_is_accepted():
    from kedro_azureml import config

    pairs = {
        config.KedroAzureMLConfig: azureml_settings.AzureML,
        config.AzureMLConfig: azureml_settings.Azure,
        config.ComputeConfig: azureml_settings.Compute,
        config.DockerConfig: azureml_settings.Docker,
        config.PipelineDataPassingConfig: azureml_settings.DataPassing,
        config.AzureTempStorageConfig: azureml_settings.TemporaryStorage,
    }
    for theirs, ours in pairs.items():
        expected = {name: field.is_required() for name, field in theirs.model_fields.items()}
        found = {name: field.is_required() for name, field in ours.model_fields.items()}
        found.pop("steps", None)
        assert found == expected
