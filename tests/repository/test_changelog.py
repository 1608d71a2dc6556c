"""Users must find what the version that they have installed changed."""

import re
import tomllib

from support import ROOT


def test_the_latest_release_in_the_changelog_is_the_version_of_the_project() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", changes, flags=re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert headings[:2] == ["Unreleased", project["version"]]
