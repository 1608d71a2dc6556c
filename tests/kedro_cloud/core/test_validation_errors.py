"""Pydantic's errors are reported in one line, each with the name of its field."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kedro_cloud.core.validation_errors import format_errors


class Range(BaseModel):
    low: int


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seed: Annotated[int, Field(ge=0)] = 0
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field((1.0,), min_length=1)
    sampler: Literal["tpe", "random"] = "tpe"
    gamma: Literal["tuned"] | float = "tuned"
    leaves: Range | Annotated[int, Field(gt=1)] = 3
    prices: dict[str, float] = {}
    label: str = Field("a", pattern="^[a-z]+$")
    parts: dict[str, Range] = {}

    @model_validator(mode="after")
    def _check(self):
        if self.seed == 13:
            raise ValueError("13 brings bad luck")
        return self


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed should be greater than or equal to 0 (given: -1)"),
        ({"seed": 1.5}, "seed should be a valid integer, got a number with a fractional part"),
        ({"seed": 13}, "13 brings bad luck"),
        ({"sed": 1}, "sed is not a setting (given: 1)"),
        ({"strengths": []}, "strengths should have at least 1 item (given: [])"),
        ({"strengths": [-1]}, "strengths.0 should be greater than 0 (given: -1)"),
        ({"strengths": 3}, "strengths should be a list (given: 3)"),
        ({"sampler": "grid"}, "sampler should be 'tpe' or 'random' (given: 'grid')"),
        ({"gamma": "wide"}, "gamma should be 'tuned', or a valid number, "),
        ({"leaves": "many"}, "leaves should be a mapping, or a valid integer, "),
        ({"leaves": {"low": "a"}}, "leaves.Range.low should be a valid integer, "),
        ({"prices": {"Standard_D2": "a"}}, "prices.Standard_D2 should be a valid number, "),
        ({"leaves": {}}, "leaves.Range.low is missing"),
        ({"prices": {1: 2}}, "prices.1 should be a valid string (given: 1)"),
        ({"parts": {"GPU": 3}}, "parts.GPU should be a mapping (given: 3)"),
        ({"label": "A"}, "label should match pattern '^[a-z]+$' (given: 'A')"),
        (
            {"seed": -1, "sed": 1},
            "seed should be greater than or equal to 0 (given: -1); sed is not a setting",
        ),
    ],
)
def test_an_error_is_reported_with_field_expectation_and_value(given, message):
    with pytest.raises(ValidationError) as caught:
        Settings(**given)
    assert format_errors(caught.value).startswith(message)


def test_a_long_value_is_shortened():
    with pytest.raises(ValidationError) as caught:
        Settings(sampler="x" * 1000)
    assert len(format_errors(caught.value)) < 150
