"""A wrong setting of rehearsals is reported with its name, before Azurite starts."""

import pytest
import yaml

from kedro_cloud.core.cloud_settings import rehearsal_settings
from kedro_cloud.rehearsal.cloud import LocalCloud
from support import bootstrap

bootstrap()


@pytest.fixture
def start(tmp_path, place):
    """Return a function that starts a rehearsal with these settings."""

    def run(**settings):
        cloud = {"region": "a", "clusters": {}, "datastores": {}, "rehearsal": settings}
        contents = {
            "base/globals.yml": {"raw": "data/01_raw", "here": "data/02"},
            "azureml/globals.yml": {"raw": "abfs://raw", "reports": "abfs://reports"},
            "azureml/cloud.yml": {"cloud": cloud},
        }
        for name, content in contents.items():
            file = tmp_path / "conf" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(yaml.safe_dump(content))
        return LocalCloud.start(tmp_path, "azureml", {}, place)

    return run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"samples": {"rw/faq": "*"}},
            "rehearsal.samples.rw/faq: 'rw' is not a root in globals.yml",
        ),
        (
            {"samples": {"reports": "*"}},
            "reports: 'reports' is not a root in globals.yml; expected",
        ),
        ({"reports": "report"}, "reports: 'report' is not a root in globals.yml; expected one of"),
        ({"samples": {"raw": "/data/*"}}, "rehearsal.samples.raw should match pattern '^[^/]'"),
    ],
)
def test_the_setting_is_named(start, settings, message):
    with (
        pytest.raises(ValueError, match=r"cloud\.yml: rehearsal") as caught,
        start(**settings),
    ):
        pass
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_valid_settings_pass(start, tmp_path):
    variables = {"A": "{folder}/a", "B": None}
    start(variables=variables, samples={"raw/faq": "*"}, reports="reports")
    rehearsal_settings(tmp_path, "azureml").check_roots(["raw"], ["raw", "reports"])
