"""A machine that Azure retires must be reported before money or time is spent on it."""

from datetime import date

import pytest
import yaml

from kedro_cloud.core.cloud_settings import cloud_settings
from kedro_cloud.core.retirements import Machines, format_warnings, load_retirements
from support import ROOT, bootstrap

bootstrap()
DAY = date(2026, 11, 29)
RETIREMENTS = load_retirements(ROOT, "azureml")


def warnings(*machines, today=DAY):
    return list(format_warnings(RETIREMENTS, machines, today))


def test_low_priority_is_reported_with_its_date_and_source():
    (warning,) = warnings(Machines("cluster 'a'", "Standard_D4s_v5", "low_priority"))
    assert warning.startswith(
        "cluster 'a' uses low_priority: low-priority nodes of Azure ML were retired on 2026-03-31; "
    )
    assert "use tier dedicated" in warning
    assert "github.com/Azure/Batch/issues/196" in warning


@pytest.mark.parametrize(
    ("today", "reported"),
    [
        (date(2027, 5, 1), []),
        (date(2027, 5, 2), ["will be retired on 2028-05-01"]),
        (date(2028, 4, 30), ["will be retired on 2028-05-01"]),
        (date(2028, 5, 1), ["were retired on 2028-05-01"]),
    ],
)
def test_a_retirement_is_reported_from_a_year_before_its_date(today, reported):
    found = warnings(Machines("deployment 'a'", "STANDARD_DS2_V2"), today=today)
    assert len(found) == len(reported)
    assert all(text in warning for text, warning in zip(reported, found, strict=True))


@pytest.mark.parametrize(
    ("sizes", "day"),
    [
        ("D2 DS14 D2_v2 DS2_v2 DS14-4_v2 L8s", "2028-05-01"),
        ("A2_v2 A2m_v2 B1ls B1s B2ms F4 F4s F4s_v2 G5 GS5-8 L8s_v2", "2028-11-15"),
        ("NC6s_v3 NC24rs_v3", "2025-09-30"),
        ("D4s_v3 D2as_v4 D4s_v5 DC2s_v3 E8s_v5 B2s_v2 F4as_v6 L8s_v3 NC4as_T4_v3", None),
    ],
)
def test_sizes_are_those_of_the_announced_series(sizes, day):
    for size in sizes.split():
        machines = Machines("cluster 'a'", f"Standard_{size}")
        found = [each.date.isoformat() for each in RETIREMENTS if each.concerns(machines)]
        assert found == ([day] if day else []), size


def test_the_project_uses_nothing_that_is_retired():
    cloud = cloud_settings(ROOT, "azureml")
    used = [Machines(name, each.size, each.tier) for name, each in cloud.clusters.items()]
    used += [Machines(name, each.size) for name, each in cloud.deployments.items()]
    assert [each.name for each in RETIREMENTS for one in used if each.concerns(one)] == []


def test_an_environment_without_the_file_has_no_retirements(project):
    assert load_retirements(project, "azureml") == ()


def test_an_invalid_entry_is_named(project):
    entry = {"name": "x", "sizes": "(", "date": "soon", "advice": "y"}
    file = project / "conf/azureml/platform.yml"
    file.write_text(yaml.safe_dump({"platform": {"retirements": [entry]}}))
    message = r"conf/azureml/platform\.yml: .*sizes should be a valid regular expression \(given"
    with pytest.raises(ValueError, match=message):
        load_retirements(project, "azureml")


def test_a_missing_size_is_not_reported_as_retired():
    assert warnings(Machines("cluster 'a'", ""), Machines("cluster 'b'", "", "dedicated")) == []
