"""infra/ must deploy what the project's configuration names."""

import re
import shutil

import pycep
import pytest
import yaml

from bicep import Template, parameters, parse
from bicep_functions import BicepError
from deployed import ENVIRONMENTS, FILES, INFRA, containers_in, of_type, resources, template, unused
from kedro_cloud.core import config
from kedro_cloud.core.cloud_settings import cloud_settings
from support import ROOT, bootstrap
from trigger_world import WORKFLOW

bootstrap()
CLOUD = cloud_settings(ROOT, "azureml")
GLOBALS = config.loader(ROOT, "azureml")["globals"]
PARAMETER_FILES = sorted(INFRA.glob("*.bicepparam"))
README = (INFRA / "README.md").read_text()


@pytest.fixture(scope="module")
def reader():
    return pycep.BicepParser()


def write(folder, text, name="main.bicep"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_parsers_read_the_same_declarations(path, reader):
    parse(path.read_text())
    declared = Template(path, {}).declared
    read = reader.parse(text=path.read_text())
    for kind in ("parameter", "variable", "resource", "module", "output"):
        assert set(read.get(f"{kind}s", {})) == set(declared[kind])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_deploys_distinct_resources(environment):
    found = resources(environment)
    assert len(found) > 50
    names = [(each.type, each.name, each.scope) for each in found]
    assert len(set(names)) == len(names)


def test_every_module_and_every_name_in_it_is_used():
    templates = [each for name in ENVIRONMENTS for each in template(name).templates()]
    assert {each.path for each in templates} == set(FILES)
    for each in templates:
        each.resources()
    assert unused(templates) == []


@pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda path: path.stem)
def test_parameter_files_set_every_parameter(path):
    main = Template(INFRA / "main.bicep", {})
    assert set(parameters(path)) == set(main.declared["parameter"])


def test_each_type_is_used_in_one_version():
    used = {}
    for path in FILES:
        for kind, version in re.findall(r"'(Microsoft\.[\w./]+)@([\w-]+)'", path.read_text()):
            assert re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", version)
            used.setdefault(kind, set()).add(version)
    assert {kind: versions for kind, versions in used.items() if len(versions) > 1} == {}


def test_what_the_configuration_names_is_created():
    found = resources("all")
    account = GLOBALS["storage_account"]
    containers = {each.name for each in of_type(found, "containers")}
    expected = {*CLOUD.datastores.values(), CLOUD.trigger.container, CLOUD.trigger.markers}
    expected |= set(containers_in(GLOBALS))
    assert {f"{account}/default/{name}" for name in expected} <= containers
    assert account in {each.name for each in of_type(found, "storageAccounts")}
    assert [each.name for each in of_type(found, "servers/databases")] == [
        f"{GLOBALS['sql_server']}/{GLOBALS['sql_database']}"
    ]
    identities = {each.name for each in of_type(found, "userAssignedIdentities")}
    assert CLOUD.identity in identities
    locations = {each.body.get("location") for each in found} - {None, "global"}
    assert locations == {CLOUD.region}


def test_clusters_are_those_of_the_configuration():
    found = {
        each.name.partition("/")[2]: each.body for each in of_type(resources("all"), "computes")
    }
    assert set(found) == set(CLOUD.clusters)
    tiers = {"low_priority": "LowPriority", "dedicated": "Dedicated"}
    for name, cluster in CLOUD.clusters.items():
        properties = found[name]["properties"]["properties"]
        assert properties["vmSize"] == cluster.size
        assert properties["vmPriority"] == tiers[cluster.tier]
        assert properties["scaleSettings"] == {
            "minNodeCount": cluster.min_nodes,
            "maxNodeCount": cluster.max_nodes,
            "nodeIdleTimeBeforeScaleDown": f"PT{cluster.idle_seconds}S",
        }
        assert CLOUD.identity in next(iter(found[name]["identity"]["userAssignedIdentities"]))


def test_clusters_that_steps_use_exist_in_every_environment():
    conf = yaml.safe_load((ROOT / "conf/azureml/azureml.yml").read_text())
    used = {each["cluster_name"] for each in conf["azure"]["compute"].values()}
    for environment in ENVIRONMENTS:
        deployed = {
            each.name.partition("/")[2] for each in of_type(resources(environment), "computes")
        }
        assert used <= deployed


def test_capture_writes_where_the_pipeline_reads():
    entries = yaml.safe_load((ROOT / "conf/base/sensor_ingestion/catalog.yml").read_text())
    read = entries["sensor_readings_source"]["filepath"]
    folder = re.search(r"\$\{globals:raw\}/([\w/]+)", read)[1]
    (hub,) = of_type(resources("prod"), "eventhubs")
    capture = hub.body["properties"]["captureDescription"]["destination"]
    assert GLOBALS["raw"] == f"abfs://{capture['properties']['blobContainer']}"
    assert capture["properties"]["archiveNameFormat"].startswith(f"{folder}/{{Namespace}}/")
    assert capture["identity"] == {"type": "SystemAssigned"}


def test_stream_analytics_runs_the_query_with_the_names_in_it():
    query = (INFRA / "stream_analytics/sensor_windows.asaql").read_text()
    found = resources("prod")
    (transformation,) = of_type(found, "transformations")
    assert transformation.body["properties"]["query"] == query
    for kind, pattern in (("inputs", r"FROM (\w+) TIMESTAMP BY"), ("outputs", r"INTO (\w+)")):
        made = {each.body["name"] for each in of_type(found, kind)}
        assert made == set(re.findall(pattern, query))
        for each in of_type(found, kind):
            source = each.body["properties"]["datasource"]["properties"]
            assert source["authenticationMode"] == "Msi"
    (job,) = of_type(found, "streamingjobs")
    assert job.body["properties"]["eventsOutOfOrderPolicy"] == "Drop"


def test_lifecycle_rules_delete_no_models_or_inputs():
    containers = {each.name.rpartition("/")[2] for each in of_type(resources("all"), "containers")}
    for environment in ENVIRONMENTS:
        for policy in of_type(resources(environment), "managementPolicies"):
            for rule in policy.body["properties"]["policy"]["rules"]:
                actions = rule["definition"]["actions"]["baseBlob"]
                prefixes = rule["definition"]["filters"]["prefixMatch"]
                assert any(actions.values()), rule["name"]
                assert {prefix.partition("/")[0] for prefix in prefixes} <= containers
                if actions["delete"]:
                    assert prefixes, "a rule without prefixes must not delete"
                    assert not {"models/", "work/", "videos/", "raw/"} & set(prefixes)


def test_only_new_videos_send_events():
    (events,) = of_type(resources("prod"), "eventSubscriptions")
    properties = events.body["properties"]
    assert properties["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    begins = f"/blobServices/default/containers/{CLOUD.trigger.container}/blobs/"
    assert properties["filter"]["subjectBeginsWith"] == begins
    suffixes, size = properties["filter"]["advancedFilters"]
    assert suffixes["values"] == list(CLOUD.trigger.suffixes)
    assert (size["key"], size["value"]) == ("data.contentLength", 0)
    delivery = properties["deliveryWithResourceIdentity"]["destination"]["properties"]
    queues = {each.name.rpartition("/")[2] for each in of_type(resources("prod"), "queues")}
    assert {delivery["queueName"]} == queues
    dead = properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]
    containers = {each.name.rpartition("/")[2] for each in of_type(resources("prod"), "containers")}
    assert dead["blobContainerName"] in containers
    assert properties["retryPolicy"]["maxDeliveryAttempts"] > 1


def test_the_logic_app_gets_every_parameter_of_its_workflow():
    (app,) = of_type(resources("prod"), "workflows")
    given = {name: each["value"] for name, each in app.body["properties"]["parameters"].items()}
    required = {name for name, each in WORKFLOW["parameters"].items() if "defaultValue" not in each}
    assert set(given) == required
    kinds = {"String": str, "Array": list, "Int": int, "Object": dict}
    for name, value in given.items():
        assert isinstance(value, kinds[WORKFLOW["parameters"][name]["type"]]), name
    account = GLOBALS["storage_account"]
    assert (
        given["queue"] == f"https://{account}.queue.core.windows.net/new-{CLOUD.trigger.container}"
    )
    assert given["markers"] == f"https://{account}.blob.core.windows.net/{CLOUD.trigger.markers}"
    assert given["endpoint"].startswith(
        f"https://{CLOUD.trigger.endpoint}.{CLOUD.region}.inference."
    )
    assert given["workspace"].startswith("https://management.azure.com/subscriptions/")
    assert given["attempts"] == CLOUD.trigger.attempts
    fixed = {name: value["value"] for name, value in given["inputs"].items()}
    assert fixed == CLOUD.trigger.inputs
    inputs = CLOUD.endpoints[CLOUD.trigger.endpoint].inputs
    assert given["fileInput"] == CLOUD.trigger.file_input
    assert {*fixed, given["fileInput"]} <= set(inputs)
    definition = app.body["properties"]["definition"]
    limit = definition["triggers"]["Every_minute"]["runtimeConfiguration"]["concurrency"]
    assert limit == {"runs": CLOUD.trigger.max_concurrent_runs, "maximumWaitingRuns": 1}
    assert definition["actions"] == WORKFLOW["actions"]
    assert given["identity"] in app.body["identity"]["userAssignedIdentities"]


def test_without_a_trigger_no_video_resources_are_deployed(tmp_path):
    for folder in ("infra", "conf/azureml"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    file = tmp_path / "conf/azureml/cloud.yml"
    settings = yaml.safe_load(file.read_text())
    trigger = settings["cloud"].pop("trigger")
    settings["cloud"]["datastores"].pop("quartet_videos")
    file.write_text(yaml.safe_dump(settings))
    given = parameters(tmp_path / "infra/prod.bicepparam") | {"videoTrigger": True}
    found = Template(tmp_path / "infra/main.bicep", given).resources()
    assert len(found) > 50
    kinds = {each.type for each in found}
    assert kinds.isdisjoint({"Microsoft.Logic/workflows", "Microsoft.EventGrid/systemTopics"})
    assert not of_type(found, "queues")
    names = {each.name.rpartition("/")[2] for each in of_type(found, "containers")}
    assert names.isdisjoint({trigger["container"], trigger["markers"], ""})


def test_readme_describes_each_module():
    table = README[README.index("## Modules") : README.index("## Manual steps")]
    modules = {path.stem for path in INFRA.glob("modules/*.bicep") if path.stem != "starter_role"}
    roles = {name for name in modules if name.endswith("_role")}
    assert (
        set(re.findall(r"`([a-z_]+)`", table)) - {"starter_role", "sensor_ingestion"}
        == modules - roles
    )


def test_readme_describes_each_parameter_file():
    assert [path for path in PARAMETER_FILES if f"`{path.name}`" not in README] == []


def test_users_of_the_database_are_identities_that_are_deployed():
    found = resources("prod")
    made = {
        each.name
        for kind in ("userAssignedIdentities", "streamingjobs")
        for each in of_type(found, kind)
    }
    users = set(re.findall(r"CREATE USER \[([\w-]+)\]", README))
    assert users
    assert users <= made


def test_the_table_of_windows_has_the_columns_of_the_query():
    (output,) = [
        each for each in of_type(resources("prod"), "outputs") if each.name.endswith("/windows")
    ]
    name = output.body["properties"]["datasource"]["properties"]["table"]
    table = re.search(rf"CREATE TABLE dbo\.{name} \((.+?)\n\);", README, re.DOTALL)[1]
    columns = re.findall(r"^    ([a-z_]+) \w+", table, re.MULTILINE)
    query = (INFRA / "stream_analytics/sensor_windows.asaql").read_text()
    selected = re.search(r"\)\n\nSELECT\n(.+?)\nINTO windows", query, re.DOTALL)[1]
    wanted = [line.rstrip(",").split()[-1] for line in selected.splitlines()]
    assert columns == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("var x = y\noutput o string = x", "y is not declared"),
        ("module m 'missing.bicep' = {\n  name: 'm'\n}", "there is no"),
        ("module m 'part.bicep' = {\n  name: 'm'\n  params: {}\n}", "parameter a is missing"),
        (
            "module m 'part.bicep' = {\n  name: 'm'\n  params: {\n    a: '1'\n    b: '2'\n  }\n}",
            "no parameter b",
        ),
        (
            "module m 'part.bicep' = {\n  name: 'm'\n  params: {\n    a: '1'\n  }\n}\n"
            "output o string = m.outputs.missing",
            "there is no .missing",
        ),
        ("resource r 'M.S/s@2024-01-01' = {\n  name: 'a/b'\n}", "cannot have the name a/b"),
        ("resource r 'M.S/s@2024-01-01' = {\n  name: 'a'\n", "line"),
        ("var x = listKeys('a')\noutput o string = x", "is not a known function"),
    ],
)
def test_an_error_in_a_file_is_reported(tmp_path, text, message):
    write(tmp_path, "param a string\noutput same string = a\n", "part.bicep")
    with pytest.raises(BicepError, match=message):
        main = Template(write(tmp_path, text), {})
        main.resources()
        main.outputs()


def test_a_parameter_that_nothing_uses_is_found(tmp_path):
    main = Template(write(tmp_path, "param a string = ''\nvar b = 1\n"), {})
    assert unused([main]) == ["main.bicep: a", "main.bicep: b"]
