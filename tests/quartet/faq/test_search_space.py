"""An invalid search space must be rejected before the study starts."""

import pytest
from pydantic import ValidationError

from quartet.faq.ranker import RankerParameters
from quartet.faq.search_space import Choices, FloatRange, IntRange, SearchSpace
from quartet.faq.study import make_start_parameters


def test_every_tunable_is_a_parameter_of_the_ranker():
    assert SearchSpace.model_fields.keys() == RankerParameters.model_fields.keys()


def test_ranges_choices_and_fixed_values_are_distinguished():
    space = SearchSpace(
        trees={"low": 10, "high": 20},
        l2={"low": 0.1, "high": 1, "log": True},
        objective="lambdarank",
        num_leaves={"choices": [7, 15]},
    )
    assert isinstance(space.trees, IntRange)
    assert isinstance(space.l2, FloatRange)
    assert space.objective == "lambdarank"
    assert isinstance(space.num_leaves, Choices)


def test_choices_override_a_range():
    space = SearchSpace(num_leaves={"low": 3, "high": 31, "log": True, "choices": [7, 15]})
    assert space.num_leaves == Choices(choices=(7, 15))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"leaves": 3}, "leaves"),
        ({"trees": {"low": 5, "high": 1}}, r"low \(5\) must not exceed high \(1\)"),
        ({"trees": {"low": 1, "high": 5, "step": 0}}, "trees: step .*greater than or equal to 1"),
        ({"trees": {"low": 1, "high": 5, "step": 2, "log": True}}, "step must be 1"),
        ({"trees": {"low": 0, "high": 5, "log": True}}, "must be above 0"),
        ({"trees": {"low": 5, "hihg": 9}}, "trees: .*hihg Extra inputs"),
        ({"l2": {"low": 0, "high": 1, "log": True}}, "must be above 0"),
        ({"l2": {"low": 3.0, "high": 1.0}}, "must not exceed high"),
        ({"objective": "regression"}, "objective must be binary or lambdarank"),
        ({"weighting": {"choices": ["none", "heavy"]}}, "weighting must be balanced or none"),
        ({"num_leaves": {"low": 1, "high": 5}}, "num_leaves must be between 2"),
        ({"hard_share": 1.5}, "hard_share must be between 0 and 1"),
        ({"negatives": {"choices": []}}, "at least 1"),
    ],
)
def test_an_invalid_value_is_rejected_with_its_name(values, message):
    with pytest.raises(ValidationError, match=message):
        SearchSpace(**values)


def test_start_parameters_are_within_the_space():
    start = make_start_parameters(SearchSpace(num_leaves={"low": 20, "high": 40}, trees=9))
    assert "num_leaves" not in start  # the default, 7, is outside
    assert "trees" not in start  # fixed
    assert start["negatives"] == RankerParameters().negatives


@pytest.mark.parametrize("trees", [400, {"low": 5, "high": 400}, {"choices": [400, 100]}])
def test_the_pruner_may_expect_the_most_trees_in_any_order_of_choices(trees):
    assert SearchSpace(trees=trees).max_trees == 400
