"""An error in cloud.yml is reported with its setting, before any request to Azure."""

import re

import pytest
import yaml

from kedro_cloud.core.cloud_settings import cloud_settings
from kedro_cloud.core.retirements import load_retirements
from kedro_cloud.trigger.settings import FileTrigger
from support import ROOT, bootstrap

bootstrap()


@pytest.fixture(scope="module")
def written():
    return (ROOT / "conf/azureml/cloud.yml").read_text()


@pytest.fixture
def read(tmp_path, written):
    """Return a function that changes the project's file and reads it."""

    def run(change):
        content = yaml.safe_load(written)
        change(content["cloud"])
        (tmp_path / "conf/azureml").mkdir(parents=True)
        (tmp_path / "conf/base").mkdir()
        (tmp_path / "conf/azureml/cloud.yml").write_text(yaml.safe_dump(content))
        return cloud_settings(tmp_path, "azureml")

    return run


def test_the_projects_file_is_valid():
    cloud = cloud_settings(ROOT, "azureml")
    assert cloud.clusters["cpu-cluster"].min_nodes == 0
    assert cloud.endpoints["style-transfer"].inputs["video"].parameter == "video"
    assert cloud.datastores[cloud.data_assets["mnist"].datastore] == "raw"


def test_trigger_endpoints_deployments_and_data_assets_are_optional(read):
    def change(cloud):
        for name in ("trigger", "endpoints", "deployments", "data_assets"):
            del cloud[name]

    cloud = read(change)
    assert cloud.trigger is None
    assert (cloud.endpoints, cloud.deployments, cloud.data_assets) == ({}, {}, {})


def test_a_missing_trigger_is_reported_with_its_settings(read):
    cloud = read(lambda it: it.pop("trigger"))
    with pytest.raises(ValueError, match=r"^conf/azureml/cloud\.yml: trigger is missing.*suffixes"):
        FileTrigger(ROOT, "azureml", cloud).open_location(None)


def test_the_clusters_of_azureml_yml_are_in_the_file():
    azure = yaml.safe_load((ROOT / "conf/azureml/azureml.yml").read_text())["azure"]
    names = {found["cluster_name"] for found in azure["compute"].values()}
    assert names <= set(cloud_settings(ROOT, "azureml").clusters)


def _rename(part, before, after):
    part[after] = part.pop(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it["clusters"]["cpu-cluster"].pop("max_nodes"), "max_nodes is missing"),
        (lambda it: it["clusters"]["cpu-cluster"].update(nodes=3), "nodes is not a setting"),
        (
            lambda it: it["clusters"]["cpu-cluster"].update(min_nodes=20),
            "clusters.cpu-cluster: min_nodes 20 is greater than max_nodes 16",
        ),
        (
            lambda it: it["clusters"]["gpu-cluster"].update(tier="spot"),
            "clusters.gpu-cluster.tier should be 'dedicated' or 'low_priority' (given: 'spot')",
        ),
        (
            lambda it: _rename(it["clusters"], "gpu-cluster", "gpu_cluster"),
            "clusters.gpu_cluster should match pattern",
        ),
        (
            lambda it: it["data_assets"]["faq"].update(datastore="elsewhere"),
            "data_assets.faq: datastore 'elsewhere' is missing from `datastores`; add it there",
        ),
        (
            lambda it: it["trigger"].update(endpoint="nowhere"),
            "trigger.endpoint: endpoint 'nowhere' is missing from `endpoints`; add it there",
        ),
        (
            lambda it: it["trigger"].update(inputs={"stile": "wave"}),
            "trigger.inputs.stile: endpoint 'style-transfer' has no such input; expected one "
            "of style, video",
        ),
        (
            lambda it: it["endpoints"]["style-transfer"].update(inputs={}),
            "trigger.inputs.style: endpoint 'style-transfer' has no such input; expected one "
            "of none",
        ),
        *(
            (
                lambda it, name=name: it["trigger"].update(file_input=name),
                f"trigger.file_input: '{name}' must be an input of endpoint 'style-transfer' that "
                "trigger.inputs does not set",
            )
            for name in ("film", "style")
        ),
        (
            lambda it: it["endpoints"]["style-transfer"]["inputs"]["style"].update(pattern="["),
            "endpoints.style-transfer.inputs.style: pattern [ is not a regular expression",
        ),
        (
            lambda it: it["endpoints"]["style-transfer"]["inputs"]["style"].update(type="integer"),
            "endpoints.style-transfer.inputs.style: a pattern needs type string, not integer",
        ),
    ],
)
def test_an_invalid_setting_is_reported_by_its_name(read, change, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(change)
    assert str(caught.value).startswith("conf/azureml/cloud.yml: ")
    assert "\n" not in str(caught.value)


def test_an_environment_without_the_file_is_reported():
    with pytest.raises(ValueError, match=r"environment 'local' has no cloud\.yml; use -e azureml"):
        cloud_settings(ROOT, "local")


@pytest.mark.parametrize("content", [["clusters"], "clusters", None])
def test_settings_that_are_not_a_mapping_are_reported(tmp_path, content):
    for environment in ("azureml", "base"):
        (tmp_path / "conf" / environment).mkdir(parents=True)
    (tmp_path / "conf/azureml/cloud.yml").write_text(yaml.safe_dump({"cloud": content}))
    (tmp_path / "conf/azureml/platform.yml").write_text(yaml.safe_dump({"platform": content}))
    for read, key in ((cloud_settings, "cloud"), (load_retirements, "platform")):
        with pytest.raises(ValueError, match="should be a mapping") as caught:
            read(tmp_path, "azureml")
        where = f"conf/azureml/{key}.yml: {key}"
        assert str(caught.value) == f"{where} should be a mapping (given: {content!r})"


def test_a_key_that_is_not_text_is_reported(read):
    with pytest.raises(ValueError, match=r"^conf/azureml/cloud\.yml: 1 is not a setting"):
        read(lambda cloud: cloud.update({1: 2}))
