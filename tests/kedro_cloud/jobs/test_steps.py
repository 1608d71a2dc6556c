"""Steps must group nodes into few containers, and compute what the nodes compute elsewhere."""

import inspect
import re
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
from kedro_cloud.jobs.hooks import StepHooks
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


def test_a_step_has_external_inputs_and_the_outputs_that_others_read():
    steps = by_name(Steps(CHAIN))
    assert set(steps) == {"begin", "scale", "end"}
    assert (steps["begin"].inputs, steps["begin"].outputs) == (["raw"], ["a", "b"])
    assert steps["scale"].outputs == ["c"]
    # Only this step reads `d`, and the catalog stores `e`: the job passes on neither.
    assert (steps["end"].inputs, steps["end"].outputs) == (["a", "c"], [])


def test_a_step_without_inputs_has_all_outputs():
    (step,) = Steps(Pipeline([Node(lambda: 1, None, "made", name="make")])).nodes
    assert (step.inputs, step.outputs) == ([], ["made"])


def test_filters_accept_names_of_steps_and_nodes():
    steps = Steps(CHAIN)
    assert [each.name for each in steps.filter(node_names=["end"]).nodes] == ["third", "fourth"]
    assert set(by_name(steps.filter(node_names=["first", "scale"]))) == {"first", "scale"}
    assert set(by_name(steps.filter(from_nodes=["end"]))) == {"third", "fourth"}
    assert set(by_name(steps.filter(to_nodes=["begin"]))) == {"first", "second"}
    assert steps.filter().nodes == CHAIN.nodes


@pytest.mark.parametrize("joined", [lambda steps: Pipeline([]) + steps, lambda steps: sum([steps])])
def test_the_sum_of_a_session_keeps_steps(joined):
    run = joined(Steps(CHAIN)).filter(node_names=["begin"])
    assert set(by_name(run)) == {"first", "second"}


def test_the_sum_of_two_pipelines_merges_steps():
    more = Pipeline([node("fifth", "e", "f", "step.end")])
    steps = Steps(CHAIN) + Steps(more)
    assert steps.members["end"] == ["third", "fourth", "fifth"]
    assert set(by_name(Steps(CHAIN) + more)) == {"begin", "scale", "end"}


def test_steps_compute_what_nodes_compute():
    results = []
    for pipeline in (CHAIN, Steps(CHAIN).filter(node_names=["begin", "scale", "end"])):
        catalog = DataCatalog.from_config({}, {})
        catalog["raw"], catalog["params:scaling"] = 3, Settings(5)
        results.append(SequentialRunner().run(pipeline, catalog)["e"].load())
    assert results == [2 * (2 * 3 + 5 * 4 * 3)] * 2


def test_parameters_have_the_types_of_the_nodes():
    validator = ParameterValidator({"p": Steps(CHAIN)})
    assert validator.validate_raw_params({"scaling": {"factor": 2}}) == {"scaling": Settings(2)}


def test_annotations_of_data_are_not_resolved():
    """They would import pandas and more, in every step."""

    def reads(table: "not_there.DataFrame", settings: "Settings") -> None:  # noqa: F821
        """Nothing."""

    (step,) = Steps(Pipeline([Node(reads, ["table", "params:s"], None, name="read")])).nodes
    assert list(step.func.__annotations__.values()) == [Settings]


def test_inputs_by_argument_keep_their_types():
    named = Node(scaled, {"settings": "params:s", "number": "a"}, "b", name="scale")
    (step,) = Steps(Pipeline([named])).nodes
    arguments = dict(zip(inspect.signature(step.func).parameters, step.inputs, strict=True))
    types = step.func.__annotations__
    assert {arguments[name]: kind for name, kind in types.items()} == {"params:s": Settings}


def test_a_step_cannot_be_called():
    with pytest.raises(RuntimeError, match="step 'begin' cannot be called"):
        by_name(Steps(CHAIN))["begin"].run({"raw": 1})


OUTER = [node("first", "raw", "a", "step.outer"), node("last", "b", "c", "step.outer")]
CROSSED = [
    node("a1", "raw", "x", "step.a"),
    node("b1", "x", "y", "step.b"),
    node("b2", "raw", "z", "step.b"),
    node("a2", "z", "w", "step.a"),
]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [*OUTER, node("between", "a", "b")],
            "depend on each other: .*(outer.*between|between.*o)",
        ),
        (CROSSED, "depend on each other"),
        (
            [node("a", "raw", "b", "step.x", ranks.TAG), node("c", "b", "d", "step.x")],
            "step 'x': node 'a' is distributed",
        ),
        (
            [node("a", "raw", "b", "step.x", "gpu"), node("c", "b", "d", "step.x", "memory")],
            "step 'x' needs two clusters: gpu, memory",
        ),
        ([node("a", "raw", "b", "step.x", "step.y")], "node 'a' is tagged for two steps: x, y"),
        # `--node=NAME` could refer to either.
        *(
            (
                [node("a", "raw", "b", "step.x"), node("x", "raw", "c", *tags)],
                "step 'x' has the name of a node",
            )
            for tags in ([], ["step.x"], ["step.y"])
        ),
    ],
)
def test_invalid_steps_are_rejected(nodes, message):
    with pytest.raises(ValueError, match=message):
        Steps(Pipeline(nodes), compute={"gpu", "memory"})


def test_a_distributed_step_reads_machines_and_ranks_from_parameters():
    shared = node("tune", "raw", "b", ranks.TAG)
    (step,) = Steps(Pipeline([shared])).nodes
    config = getattr(step.func, DISTRIBUTED_CONFIG_FIELD)
    assert config.framework == "MPI"
    assert config.num_nodes == "params:step_nodes.tune"
    assert config.processes_per_node == "params:step_processes.tune"
    assert not hasattr(doubled, DISTRIBUTED_CONFIG_FIELD)


def test_a_step_is_deterministic_only_if_all_its_nodes_are():
    mixed = [node("a", "raw", "b", "step.x", "deterministic"), node("c", "b", "d", "step.x")]
    assert by_name(Steps(Pipeline(mixed)))["x"].tags == set()
    all_tagged = [node("a", "raw", "b", "step.x", "deterministic")]
    assert by_name(Steps(Pipeline(all_tagged)))["x"].tags == {"deterministic"}


def test_the_registry_switches_between_steps_and_nodes():
    nodes = set(by_name(pipelines["mnist_training"]))
    try:
        registry.use_steps({"gpu"})
        steps = pipelines["mnist_training"]
        assert set(steps.members) < nodes | set(steps.members)
        assert {name for names in steps.members.values() for name in names} == nodes
        pipelines.set_requested(["faq_matching"])
        registry.use_nodes()
        assert set(pipelines) == {"faq_matching"}  # the requested pipelines are kept
    finally:
        pipelines.set_requested(None)
        registry.use_nodes()
    assert set(by_name(pipelines["mnist_training"])) == nodes


def in_namespace(name, *nodes):
    return Pipeline(nodes, namespace=name, prefix_datasets_with_namespace=False)


def test_steps_and_their_parameters_are_named_without_the_namespace():
    """Names of Azure ML steps contain no dots, and `step_nodes: {tune: 2}` none either."""
    namespaced = in_namespace("faq.tune", node("tune", "raw", "a", ranks.TAG))
    steps = Steps(namespaced + in_namespace("faq", node("end", "a", "b")))
    assert steps.members == {"tune": ["faq.tune.tune"], "end": ["faq.end"]}
    config = getattr(by_name(steps)["tune"].func, DISTRIBUTED_CONFIG_FIELD)
    assert config.num_nodes == "params:step_nodes.tune"


def test_nodes_of_two_namespaces_cannot_be_the_same_step():
    same = in_namespace("one", node("fit", "raw", "a")) + in_namespace("two", node("fit", "a", "b"))
    with pytest.raises(ValueError, match=r"nodes one\.fit, two\.fit: would all be step 'fit'"):
        Steps(same)
    tagged = in_namespace("one", node("fit", "raw", "a", "step.fit_one"))
    assert set(Steps(tagged + in_namespace("two", node("fit", "a", "b"))).members) == {
        "fit_one",
        "fit",
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step_nodes": []}, "'step_nodes': should be a mapping of numbers by step"),
        ({"step_processes": 3}, "'step_processes': should be a mapping of numbers by step"),
        ({"step_nodes": None}, "'step_nodes': should be a mapping of numbers by step"),
        *(
            ({"step_nodes": {"a": 1, "b": count}}, "'step_nodes.b': should be an integer of at")
            for count in ("many", 0, -1, 1.5, True, None, [2])
        ),
    ],
)
def test_machine_and_rank_counts_are_checked_before_a_job_is_made(parameters, message):
    """kedro-azureml writes a job with any value into a file, or submits it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        StepHooks().after_catalog_created(DataCatalog(), {"parameters": parameters})


def test_valid_machine_counts_are_accepted():
    for given in ({}, {"step_nodes": {"a": 2}, "step_processes": {}}):
        StepHooks().after_catalog_created(DataCatalog(), {"parameters": given})
