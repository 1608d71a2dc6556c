"""infra/ must deploy what the project's configuration names, closed to all but identities."""

import re
import shutil

import pycep
import pytest
import yaml

from bicep import Template, parameters, parse
from bicep_functions import BicepError
from deployed import ENVIRONMENTS, FILES, INFRA, containers_in, of_type, resources, template, unused
from kedro_cloud.core.cloud_settings import cloud_settings
from support import ROOT, bootstrap
from trigger_world import WORKFLOW

bootstrap()
CLOUD = cloud_settings(ROOT, "azureml")
GLOBALS = yaml.safe_load((ROOT / "conf/azureml/globals.yml").read_text())
PARAMETER_FILES = sorted(INFRA.glob("*.bicepparam"))


@pytest.fixture(scope="module")
def reader():
    return pycep.BicepParser()


def write(folder, text, name="main.bicep"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_can_be_read_by_two_readers(path, reader):
    parse(path.read_text())
    declared = Template(path, {}).declared
    read = reader.parse(text=path.read_text())
    for kind in ("parameter", "variable", "resource", "module", "output"):
        assert set(read.get(f"{kind}s", {})) == set(declared[kind])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_deploys(environment):
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
def test_each_environment_says_all_there_is_to_say(path):
    main = Template(INFRA / "main.bicep", {})
    assert set(parameters(path)) == set(main.declared["parameter"])


def test_each_type_is_asked_for_in_one_version():
    asked = {}
    for path in FILES:
        for kind, version in re.findall(r"'(Microsoft\.[\w./]+)@([\w-]+)'", path.read_text()):
            assert re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", version)
            asked.setdefault(kind, set()).add(version)
    assert {kind: versions for kind, versions in asked.items() if len(versions) > 1} == {}


def test_what_the_configuration_names_is_created():
    found = resources("all")
    account = GLOBALS["storage_account"]
    containers = {each.name for each in of_type(found, "containers")}
    wanted = {*CLOUD.datastores.values(), CLOUD.trigger.container, CLOUD.trigger.markers}
    wanted |= set(containers_in(GLOBALS))
    assert {f"{account}/default/{name}" for name in wanted} <= containers
    assert account in {each.name for each in of_type(found, "storageAccounts")}
    assert [each.name for each in of_type(found, "servers/databases")] == [
        f"{GLOBALS['sql_server']}/{GLOBALS['sql_database']}"
    ]
    identities = {each.name for each in of_type(found, "userAssignedIdentities")}
    assert CLOUD.identity in identities
    places = {each.body.get("location") for each in found} - {None, "global"}
    assert places == {CLOUD.region}


def test_clusters_are_those_of_the_configuration():
    found = {
        each.name.partition("/")[2]: each.body for each in of_type(resources("all"), "computes")
    }
    assert set(found) == set(CLOUD.clusters)
    tiers = {"low_priority": "LowPriority", "dedicated": "Dedicated"}
    for name, cluster in CLOUD.clusters.items():
        made = found[name]["properties"]["properties"]
        assert made["vmSize"] == cluster.size
        assert made["vmPriority"] == tiers[cluster.tier]
        assert made["scaleSettings"] == {
            "minNodeCount": cluster.min_nodes,
            "maxNodeCount": cluster.max_nodes,
            "nodeIdleTimeBeforeScaleDown": f"PT{cluster.idle_seconds}S",
        }
        assert CLOUD.identity in next(iter(found[name]["identity"]["userAssignedIdentities"]))


def test_clusters_that_steps_name_are_there_from_the_beginning():
    conf = yaml.safe_load((ROOT / "conf/azureml/azureml.yml").read_text())
    named = {each["cluster_name"] for each in conf["azure"]["compute"].values()}
    for environment in ENVIRONMENTS:
        made = {each.name.partition("/")[2] for each in of_type(resources(environment), "computes")}
        assert named <= made


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


def test_lifecycle_rules_keep_what_is_dear():
    containers = {each.name.rpartition("/")[2] for each in of_type(resources("all"), "containers")}
    for environment in ENVIRONMENTS:
        for policy in of_type(resources(environment), "managementPolicies"):
            for rule in policy.body["properties"]["policy"]["rules"]:
                actions = rule["definition"]["actions"]["baseBlob"]
                prefixes = rule["definition"]["filters"]["prefixMatch"]
                assert any(actions.values()), rule["name"]
                assert {prefix.partition("/")[0] for prefix in prefixes} <= containers
                if actions["delete"]:
                    assert prefixes, "a rule for all deletes nothing"
                    assert not {"models/", "work/", "videos/", "raw/"} & set(prefixes)


def test_only_new_videos_are_told_of():
    (events,) = of_type(resources("prod"), "eventSubscriptions")
    told = events.body["properties"]
    assert told["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    begins = f"/blobServices/default/containers/{CLOUD.trigger.container}/blobs/"
    assert told["filter"]["subjectBeginsWith"] == begins
    ends, size = told["filter"]["advancedFilters"]
    assert ends["values"] == list(CLOUD.trigger.suffixes)
    assert (size["key"], size["value"]) == ("data.contentLength", 0)
    delivery = told["deliveryWithResourceIdentity"]["destination"]["properties"]
    queues = {each.name.rpartition("/")[2] for each in of_type(resources("prod"), "queues")}
    assert {delivery["queueName"]} == queues
    dead = told["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]
    containers = {each.name.rpartition("/")[2] for each in of_type(resources("prod"), "containers")}
    assert dead["blobContainerName"] in containers
    assert told["retryPolicy"]["maxDeliveryAttempts"] > 1


def test_the_logic_app_is_told_all_that_its_workflow_asks():
    (app,) = of_type(resources("prod"), "workflows")
    told = {name: each["value"] for name, each in app.body["properties"]["parameters"].items()}
    asked = {name for name, each in WORKFLOW["parameters"].items() if "defaultValue" not in each}
    assert set(told) == asked
    kinds = {"String": str, "Array": list, "Int": int, "Object": dict}
    for name, value in told.items():
        assert isinstance(value, kinds[WORKFLOW["parameters"][name]["type"]]), name
    account = GLOBALS["storage_account"]
    assert (
        told["queue"] == f"https://{account}.queue.core.windows.net/new-{CLOUD.trigger.container}"
    )
    assert told["markers"] == f"https://{account}.blob.core.windows.net/{CLOUD.trigger.markers}"
    assert told["endpoint"].startswith(
        f"https://{CLOUD.trigger.endpoint}.{CLOUD.region}.inference."
    )
    assert told["workspace"].startswith("https://management.azure.com/subscriptions/")
    assert told["attempts"] == CLOUD.trigger.attempts
    named = {name: value["value"] for name, value in told["inputs"].items()}
    assert named == CLOUD.trigger.inputs
    inputs = CLOUD.endpoints[CLOUD.trigger.endpoint].inputs
    assert told["fileInput"] == CLOUD.trigger.file_input
    assert {*named, told["fileInput"]} <= set(inputs)
    definition = app.body["properties"]["definition"]
    lanes = definition["triggers"]["Every_minute"]["runtimeConfiguration"]["concurrency"]
    assert lanes == {"runs": CLOUD.trigger.most_at_once, "maximumWaitingRuns": 1}
    assert definition["actions"] == WORKFLOW["actions"]
    assert told["identity"] in app.body["identity"]["userAssignedIdentities"]


def test_without_a_trigger_nothing_watches_and_nobody_may_read_videos(tmp_path):
    for folder in ("infra", "conf/azureml"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    file = tmp_path / "conf/azureml/cloud.yml"
    said = yaml.safe_load(file.read_text())
    gone = said["cloud"].pop("trigger")
    said["cloud"]["datastores"].pop("quartet_videos")
    file.write_text(yaml.safe_dump(said))
    told = parameters(tmp_path / "infra/prod.bicepparam") | {"videoTrigger": True}
    found = Template(tmp_path / "infra/main.bicep", told).resources()
    assert len(found) > 50
    kinds = {each.type for each in found}
    assert kinds.isdisjoint({"Microsoft.Logic/workflows", "Microsoft.EventGrid/systemTopics"})
    assert not of_type(found, "queues")
    names = {each.name.rpartition("/")[2] for each in of_type(found, "containers")}
    assert names.isdisjoint({gone["container"], gone["markers"], ""})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("var x = y\noutput o string = x", "y is not declared"),
        ("module m 'gone.bicep' = {\n  name: 'm'\n}", "there is no"),
        ("module m 'part.bicep' = {\n  name: 'm'\n  params: {}\n}", "parameter a is missing"),
        (
            "module m 'part.bicep' = {\n  name: 'm'\n  params: {\n    a: '1'\n    b: '2'\n  }\n}",
            "no parameter b",
        ),
        (
            "module m 'part.bicep' = {\n  name: 'm'\n  params: {\n    a: '1'\n  }\n}\n"
            "output o string = m.outputs.gone",
            "there is no .gone",
        ),
        ("resource r 'M.S/s@2024-01-01' = {\n  name: 'a/b'\n}", "with the name a/b"),
        ("resource r 'M.S/s@2024-01-01' = {\n  name: 'a'\n", "line"),
        ("var x = listKeys('a')\noutput o string = x", "is no function here"),
    ],
)
def test_a_fault_in_a_file_is_found(tmp_path, text, said):
    """Proof that reading without a complaint means something."""
    write(tmp_path, "param a string\noutput same string = a\n", "part.bicep")
    with pytest.raises(BicepError, match=said):
        main = Template(write(tmp_path, text), {})
        main.resources()
        main.outputs()


def test_a_parameter_that_nothing_uses_is_found(tmp_path):
    main = Template(write(tmp_path, "param a string = ''\nvar b = 1\n"), {})
    assert unused([main]) == ["main.bicep: a", "main.bicep: b"]
