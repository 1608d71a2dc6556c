"""Each condition of the Logic App must be missed where it is gone, each name be one in reach."""

import copy
import functools
import json
import re

import pytest

from logic_app import Run
from trigger_world import PARAMETERS, WORKFLOW, World, actions_in


def away(method, host):
    return 503 if host == "blob" else None


def refused(method, host):
    return 400 if method == "POST" else None


SCENES = [
    ([], [], {}),
    (["film.txt", ".started/film.mp4"], [], {}),
    (["x'.mp4"], [], {}),
    (["film.mp4"], [], {"refuse": away}),
    (["film.mp4", "film.mp4"], [], {}),
    (["film.mp4"], ["Failed", "Canceled"], {}),
    (["film.mp4"], ["Failed"] * 3, {}),
    (["film.mp4"], [], {"refuse": refused}),
    (["film.mp4"], [], {"running_minutes": 20}),
]
"""What is uploaded, how jobs end, and what is amiss."""


def shortened():
    """The workflow with runs that give up after an hour, and ten turns."""
    workflow = copy.deepcopy(WORKFLOW)
    limit = dict(actions_in(workflow["actions"]))["Until_it_is_over"]["limit"]
    limit.update(timeout="PT1H", count=10)
    return workflow


def outcome(workflow, scene):
    """What becomes of videos, jobs and messages, and after how many requests and minutes."""
    uploads, ends, options = SCENES[scene]
    world = World(ends=list(ends), **options)
    for number, name in enumerate(uploads):
        world.upload(name, number)
    ended = [Run(workflow, dict(PARAMETERS), world).go() for _ in range(len(uploads) + 1)]
    left = [message.id for message in world.messages]
    return ended, world.started, left, world.blobs, world.minutes, world.requests


@functools.cache
def right(scene):
    return outcome(shortened(), scene)


CONDITIONS = [name for name, each in actions_in(WORKFLOW["actions"]) if each["type"] == "If"]


def test_there_are_conditions_for_all_that_is_promised():
    assert len(CONDITIONS) > 10


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("name", CONDITIONS)
def test_no_condition_could_be_left_out(name, always):
    workflow = shortened()
    broken = dict(actions_in(workflow["actions"]))[name]
    broken["expression"] = f"@equals({int(always)}, 1)"
    assert any(outcome(workflow, scene) != right(scene) for scene in range(len(SCENES)))


def test_the_right_workflow_is_the_same_each_time():
    assert all(outcome(shortened(), scene) == right(scene) for scene in range(len(SCENES)))


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


def test_expressions_name_what_comes_before():
    assert list(out_of_reach(WORKFLOW["actions"])) == []
    broken = copy.deepcopy(WORKFLOW["actions"])
    broken["Message"]["runAfter"] = {}
    assert ("Message", "Take") in list(out_of_reach(broken))
