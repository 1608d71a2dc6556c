"""A cluster must not pay a container a node, and a step must do what its nodes do anywhere."""

import inspect
from dataclasses import dataclass

import pytest
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro.validation.parameter_validator import ParameterValidator
from kedro_azureml.constants import DISTRIBUTED_CONFIG_FIELD

from kedro_cloud.core import ranks
from kedro_cloud.jobs import registry
from kedro_cloud.jobs.steps import Steps
from support import bootstrap

bootstrap()


@dataclass(frozen=True)
class Settings:
    factor: int


def doubled(number):
    return 2 * number


def scaled(number, settings: Settings):
    return settings.factor * number


def added(first, second):
    return first + second


def node(name, inputs, outputs, *tags, function=None):
    one_by_number = {1: doubled, 2: added}
    function = function or one_by_number[1 if isinstance(inputs, str) else len(inputs)]
    return Node(function, inputs, outputs, name=name, tags=tags)


CHAIN = Pipeline(
    [
        node("first", "raw", "a", "step.begin"),
        node("second", "a", "b", "step.begin"),
        node("scale", ["b", "params:scaling"], "c", function=scaled),
        node("third", ["a", "c"], "d", "step.end"),
        node("fourth", "d", "e", "step.end"),
    ]
)


def by_name(pipeline):
    return {each.name: each for each in pipeline.nodes}


def test_a_step_takes_what_comes_from_outside_and_gives_what_others_read():
    steps = by_name(Steps(CHAIN))
    assert set(steps) == {"begin", "scale", "end"}
    assert (steps["begin"].inputs, steps["begin"].outputs) == (["raw"], ["a", "b"])
    assert steps["scale"].outputs == ["c"]
    # `d` stays within, and where `e` lies its catalog entry says: neither travels in the job.
    assert (steps["end"].inputs, steps["end"].outputs) == (["a", "c"], [])


def test_a_step_that_reads_nothing_is_one_all_the_same():
    (step,) = Steps(Pipeline([Node(lambda: 1, None, "made", name="make")])).nodes
    assert (step.inputs, step.outputs) == ([], ["made"])


def test_a_step_stands_for_its_nodes_in_their_order():
    steps = Steps(CHAIN)
    assert [each.name for each in steps.filter(node_names=["end"]).nodes] == ["third", "fourth"]
    assert set(by_name(steps.filter(node_names=["first", "scale"]))) == {"first", "scale"}
    assert set(by_name(steps.filter(from_nodes=["end"]))) == {"third", "fourth"}
    assert set(by_name(steps.filter(to_nodes=["begin"]))) == {"first", "second"}
    assert steps.filter().nodes == CHAIN.nodes


@pytest.mark.parametrize("joined", [lambda steps: Pipeline([]) + steps, lambda steps: sum([steps])])
def test_a_session_that_joins_pipelines_gets_steps(joined):
    run = joined(Steps(CHAIN)).filter(node_names=["begin"])
    assert set(by_name(run)) == {"first", "second"}


def test_two_pipelines_of_steps_are_joined_as_their_nodes_are():
    more = Pipeline([node("fifth", "e", "f", "step.end")])
    steps = Steps(CHAIN) + Steps(more)
    assert steps.members["end"] == ["third", "fourth", "fifth"]
    assert set(by_name(Steps(CHAIN) + more)) == {"begin", "scale", "end"}


def test_running_steps_makes_what_running_nodes_makes():
    results = []
    for pipeline in (CHAIN, Steps(CHAIN).filter(node_names=["begin", "scale", "end"])):
        catalog = DataCatalog.from_config({}, {})
        catalog["raw"], catalog["params:scaling"] = 3, Settings(5)
        results.append(SequentialRunner().run(pipeline, catalog)["e"].load())
    assert results == [2 * (2 * 3 + 5 * 4 * 3)] * 2


def test_parameters_arrive_as_the_types_that_the_nodes_ask_for():
    validator = ParameterValidator({"p": Steps(CHAIN)})
    assert validator.validate_raw_params({"scaling": {"factor": 2}}) == {"scaling": Settings(2)}


def test_annotations_of_data_are_not_resolved():
    """They would import pandas and more, in every step."""

    def reads(table: "not_there.DataFrame", settings: "Settings") -> None:  # noqa: F821
        """Nothing."""

    (step,) = Steps(Pipeline([Node(reads, ["table", "params:s"], None, name="read")])).nodes
    assert list(step.func.__annotations__.values()) == [Settings]


def test_arguments_given_by_name_keep_their_types():
    named = Node(scaled, {"settings": "params:s", "number": "a"}, "b", name="scale")
    (step,) = Steps(Pipeline([named])).nodes
    arguments = dict(zip(inspect.signature(step.func).parameters, step.inputs, strict=True))
    types = step.func.__annotations__
    assert {arguments[name]: kind for name, kind in types.items()} == {"params:s": Settings}


def test_a_step_that_is_called_says_how_it_is_run():
    with pytest.raises(RuntimeError, match="step 'begin' cannot be called"):
        by_name(Steps(CHAIN))["begin"].run({"raw": 1})


def test_steps_that_would_wait_for_one_another_are_refused():
    middle_left_out = Pipeline(
        [
            node("first", "raw", "a", "step.outer"),
            node("between", "a", "b"),
            node("last", "b", "c", "step.outer"),
        ]
    )
    with pytest.raises(ValueError, match=r"depend on each other: .*outer.*between|between.*outer"):
        Steps(middle_left_out)


def test_steps_that_are_sound_alone_but_cross_are_refused():
    crossed = Pipeline(
        [
            node("a1", "raw", "x", "step.a"),
            node("b1", "x", "y", "step.b"),
            node("b2", "raw", "z", "step.b"),
            node("a2", "z", "w", "step.a"),
        ]
    )
    with pytest.raises(ValueError, match="depend on each other"):
        Steps(crossed)


def test_a_distributed_node_beside_others_is_refused():
    shared = [node("a", "raw", "b", "step.x", ranks.TAG), node("c", "b", "d", "step.x")]
    with pytest.raises(ValueError, match=r"step 'x': node 'a' is distributed"):
        Steps(Pipeline(shared))


def test_two_clusters_for_one_step_are_refused():
    both = [node("a", "raw", "b", "step.x", "gpu"), node("c", "b", "d", "step.x", "memory")]
    with pytest.raises(ValueError, match="step 'x' needs two clusters: gpu, memory"):
        Steps(Pipeline(both), compute={"gpu", "memory"})


def test_a_node_tagged_for_two_steps_is_refused():
    with pytest.raises(ValueError, match="node 'a' is tagged for two steps: x, y"):
        Steps(Pipeline([node("a", "raw", "b", "step.x", "step.y")]))


@pytest.mark.parametrize("tags", [[], ["step.x"], ["step.y"]])
def test_a_step_named_like_a_node_is_refused(tags):
    """`--node=NAME` could mean either."""
    nodes = [node("a", "raw", "b", "step.x"), node("x", "raw", "c", *tags)]
    with pytest.raises(ValueError, match="step 'x' has the name of a node"):
        Steps(Pipeline(nodes))


def test_a_distributed_step_takes_its_machines_and_ranks_from_parameters():
    shared = node("tune", "raw", "b", ranks.TAG)
    (step,) = Steps(Pipeline([shared])).nodes
    config = getattr(step.func, DISTRIBUTED_CONFIG_FIELD)
    assert config.framework == "MPI"
    assert config.num_nodes == "params:step_nodes.tune"
    assert config.processes_per_node == "params:step_processes.tune"
    assert not hasattr(doubled, DISTRIBUTED_CONFIG_FIELD)


def test_a_step_may_be_cached_only_if_all_of_its_nodes_may():
    half = [node("a", "raw", "b", "step.x", "deterministic"), node("c", "b", "d", "step.x")]
    assert by_name(Steps(Pipeline(half)))["x"].tags == set()
    whole = [node("a", "raw", "b", "step.x", "deterministic")]
    assert by_name(Steps(Pipeline(whole)))["x"].tags == {"deterministic"}


def test_pipelines_are_steps_only_where_the_environment_wants_that():
    nodes = set(by_name(pipelines["mnist_training"]))
    try:
        registry.use_steps({"gpu"})
        steps = pipelines["mnist_training"]
        assert set(steps.members) < nodes | set(steps.members)
        assert {name for names in steps.members.values() for name in names} == nodes
        pipelines.set_requested(["faq_matching"])
        registry.use_nodes()
        assert set(pipelines) == {"faq_matching"}  # what a run has asked for is not forgotten
    finally:
        pipelines.set_requested(None)
        registry.use_nodes()
    assert set(by_name(pipelines["mnist_training"])) == nodes
