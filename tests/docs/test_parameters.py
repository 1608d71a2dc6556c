"""The reference's tables of parameters agree with the models."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from docs.pages import SETTINGS, models, tables
from kedro_cloud.core import cloud_settings
from quartet.digits import settings as digits
from quartet.faq import settings as faq
from quartet.faq.search_space import SearchSpace
from quartet.sensors import settings as sensors
from quartet.style import encoding_settings

DOCUMENTED = [(page, model) for page in SETTINGS for model in models(page).values()]


def parameter_rows(site: Path, page: str, names: list[str]) -> list[list[str]]:
    """Return the rows of the table on a page of the reference that has exactly these parameters."""
    text = (site / f"reference/{page}/index.html").read_text(encoding="utf-8")
    found = [table[1:] for table in tables(text) if [row[0] for row in table[1:]] == names]
    assert len(found) == 1, f"{len(found)} tables with the fields {', '.join(names)}"
    return found[0]


@pytest.mark.parametrize(
    ("page", "model"), DOCUMENTED, ids=lambda part: getattr(part, "__name__", part)
)
def test_reference_documents_every_parameter_with_default_range_and_reason(
    page: str, model: type[BaseModel], site: Path
) -> None:
    rows = parameter_rows(site, page, list(model.model_fields))
    for (_, default, limits, reason), field in zip(rows, model.model_fields.values(), strict=True):
        assert reason == " ".join((field.description or "").replace("`", "").split())
        assert reason
        assert limits
        if field.is_required():
            assert default.startswith("required")
            continue
        given = yaml.safe_load(default)
        if isinstance(field.default, BaseModel):
            given = type(field.default)(**given)
        assert given == (list(field.default) if isinstance(given, list) else field.default)


@pytest.mark.parametrize(
    ("page", "model", "ranges"),
    [
        (
            "mnist_training",
            digits.Exploration,
            {"seed": "integer, ≥ 0 and < 4,294,967,296", "images": "integer, ≥ 1 and ≤ 200"},
        ),
        (
            "mnist_training",
            digits.RegularisationSweep,
            {"strengths": "a list of at least 1, each > 0"},
        ),
        ("faq", faq.DumpSelection, {"tag": r"text that matches ^\S+$"}),
        ("faq", faq.Cleaning, {"min_duplicates": "integer, ≥ 0", "keep_code": "true or false"}),
        (
            "faq",
            SearchSpace,
            {
                "word_ngrams": "choices or one value",
                "trees": "a range, choices or one value",
                "weighting": "choices or one value",
            },
        ),
        (
            "sensors",
            sensors.SensorSvm,
            {
                "nu": "> 0 and ≤ 0.5",
                "gamma": "tuned or > 0",
                "threshold": "one of tuned, machine",
            },
        ),
        (
            "sensors",
            sensors.TrainingWindows,
            {"until": "text or null", "sensors": "a list of text"},
        ),
        (
            "style_transfer",
            encoding_settings.Encoding,
            {
                "tune": "one of film, animation, grain, stillimage or null",
                "quality": "≥ 0 and ≤ 51",
            },
        ),
        (
            "configuration",
            cloud_settings.Cloud,
            {
                "identity": "text that matches ^$ or ^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$",
                "endpoints": "by name, each an Endpoint",
                "primary_metrics": "by name, each text",
                "trigger": "a Trigger or null",
            },
        ),
        (
            "configuration",
            cloud_settings.Input,
            {"default": "true or false, integer, a number, text or null"},
        ),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_reference_ranges_are_those_that_are_checked(
    page: str, model: type[BaseModel], ranges: dict[str, str], site: Path
) -> None:
    rows = parameter_rows(site, page, list(model.model_fields))
    documented = {row[0]: row[2] for row in rows}
    assert {name: documented[name] for name in ranges} == ranges


def test_limits_of_the_search_space_are_those_that_are_checked(site: Path) -> None:
    """Each parameter has limits besides the form of a range."""
    text = (site / "reference/faq/index.html").read_text(encoding="utf-8")
    table = next(t for t in tables(text) if t[0] == ["Parameter", "Lowest", "Highest"])
    limits = {name: (parse_number(low), parse_number(high)) for name, low, high in table[1:]}
    assert limits.keys() == SearchSpace.model_fields.keys() - {"weighting", "objective"}
    for name, (low, high) in limits.items():
        step = 1 if isinstance(low, int) else low / 2 or 1e-9
        for inside in (low, high):
            SearchSpace(**{name: inside})
        for outside in (low - step, high + step):
            with pytest.raises(ValidationError, match=name):
                SearchSpace(**{name: outside})


def parse_number(text: str) -> int | float:
    """Return the value of a number as the documentation formats it."""
    plain = text.replace(",", "")
    return float(plain) if "." in plain or "e" in plain else int(plain)


def test_no_two_scenarios_have_parameters_of_one_name() -> None:
    """A marker in a page names a model without its module."""
    names = [name for page in SETTINGS for name in models(page)]
    assert sorted(set(names)) == sorted(names)
