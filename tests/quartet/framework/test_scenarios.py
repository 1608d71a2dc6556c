"""Pipelines run one after the other, and Kedro-Viz draws them as a few boxes."""

from itertools import pairwise

import pytest
from kedro.framework.project import pipelines
from kedro.pipeline import Node, Pipeline

from quartet.framework.scenarios import Scenarios
from support import bootstrap

bootstrap()


def copy(*values):
    return values[0]


def chain(name, *datasets):
    """Return a pipeline in a namespace: each dataset is made of the one before."""
    nodes = [Node(copy, [one], made, name=f"make_{made}") for one, made in pairwise(datasets)]
    return Scenarios(nodes, namespace=name)


def names(pipeline):
    return [node.name for node in pipeline.nodes]


TWO = Scenarios([chain("second", "raw", "x", "y_figure"), chain("first", "raw", "a", "b")])
ORDER = ["second.make_x", "second.make_y_figure", "first.make_a", "first.make_b"]


def test_pipelines_do_not_interleave_and_run_in_the_order_given():
    assert names(TWO) == ORDER
    assert names(Scenarios([chain("first", "raw", "a", "b"), TWO])) == ORDER[2:] + ORDER[:2]


def test_a_pipeline_runs_after_those_whose_outputs_it_reads():
    reader, writer = chain("reader", "made", "last"), chain("writer", "raw", "made")
    assert names(Scenarios([reader, writer])) == ["writer.make_made", "reader.make_last"]


def test_pipelines_that_depend_on_each_other_run_in_the_order_of_kedro():
    with pytest.warns(UserWarning, match="interrupted"):
        mixed = Scenarios(
            [chain("one", "raw", "a"), chain("two", "a", "b"), chain("one", "b", "c")]
        )
    assert names(mixed) == ["one.make_a", "two.make_b", "one.make_c"]


def test_the_order_is_kept_by_sums_and_filters_as_in_a_session():
    assert names((Pipeline([]) + TWO).filter(from_nodes=None, tags=None)) == ORDER
    later = Pipeline([]) + TWO + chain("third", "raw", "z")
    assert names(later) == [*ORDER, "third.make_z"]
    assert names(later.filter(from_inputs=["raw"])) == names(later)


def test_nodes_can_be_selected_without_their_namespace():
    assert names(TWO.filter(node_names=["make_a", "second.make_x"])) == [ORDER[0], ORDER[2]]
    assert names(TWO.filter(from_nodes=["make_a"])) == ORDER[2:]
    assert names(TWO.filter(to_nodes=["make_x"])) == ORDER[:1]


def test_a_name_in_two_namespaces_needs_its_namespace():
    both = Scenarios([chain("one", "raw", "a"), Scenarios([_make_other_a()])])
    with pytest.raises(ValueError, match=r"Did you mean: .*one\.make_a.*two\.make_a"):
        both.filter(node_names=["make_a"])
    assert names(both.filter(node_names=["two.make_a"])) == ["two.make_a"]


def _make_other_a():
    return Scenarios([Node(copy, ["raw"], "other", name="make_a")], namespace="two")


def test_a_box_among_several_has_only_what_others_read():
    box = TWO.only_nodes_with_namespaces(["second"])
    assert (box.inputs(), box.outputs()) == ({"raw"}, set())
    three = Scenarios([TWO, chain("third", "b", "last")])
    assert three.only_nodes_with_namespaces(["first"]).outputs() == {"b"}
    assert three.only_nodes_with_namespaces(["third"]).outputs() == set()


def test_the_box_of_one_pipeline_has_all_but_its_figures():
    box = chain("one", "raw", "table", "x_figure").only_nodes_with_namespaces(["one"])
    assert (box.inputs(), box.outputs()) == ({"raw"}, set())
    box = chain("one", "raw", "x_figure", "table").only_nodes_with_namespaces(["one"])
    assert (box.inputs(), box.outputs()) == ({"raw"}, {"table"})


def test_many_outputs_are_drawn_when_the_box_is_unfolded():
    def outputs(count):
        nodes = [Node(copy, "raw", f"table_{n}", name=f"make_{n}") for n in range(count)]
        return Scenarios(nodes, "one").only_nodes_with_namespaces(["one"]).outputs()

    assert len(outputs(9)) == 9
    assert outputs(10) == set()


@pytest.mark.parametrize("name", sorted(pipelines))
def test_nodes_of_a_pipeline_are_together_and_after_their_inputs(name):
    pipeline = pipelines[name]
    scenarios = [node.namespace.partition(".")[0] for node in pipeline.nodes]
    changes = [one for one, other in zip(scenarios, ["", *scenarios], strict=False) if one != other]
    assert len(changes) == len(set(changes))
    assert name in ("__default__", *changes)
    done = set()
    for node in pipeline.nodes:
        assert pipeline.node_dependencies[node] <= done, node.name
        done.add(node)


@pytest.mark.parametrize("name", sorted(pipelines))
def test_no_name_of_a_node_needs_its_namespace(name):
    short = [node.short_name for node in pipelines[name].nodes]
    assert len(short) == len(set(short))
