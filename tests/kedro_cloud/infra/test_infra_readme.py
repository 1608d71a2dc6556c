"""infra/README.md must describe every module, and use the names that are deployed."""

import re

from deployed import INFRA, of_type, resources

README = (INFRA / "README.md").read_text()


def test_readme_describes_each_module():
    table = README[README.index("## Modules") : README.index("## Manual steps")]
    modules = {path.stem for path in INFRA.glob("modules/*.bicep") if path.stem != "starter_role"}
    roles = {name for name in modules if name.endswith("_role")}
    assert (
        set(re.findall(r"`([a-z_]+)`", table)) - {"starter_role", "sensor_ingestion"}
        == modules - roles
    )


def test_readme_describes_each_parameter_file():
    for path in INFRA.glob("*.bicepparam"):
        assert f"`{path.name}`" in README


def test_users_of_the_database_are_identities_that_are_deployed():
    found = resources("prod")
    made = {
        each.name
        for kind in ("userAssignedIdentities", "streamingjobs")
        for each in of_type(found, kind)
    }
    users = set(re.findall(r"CREATE USER \[([\w-]+)\]", README))
    assert users
    assert users <= made


def test_the_table_of_windows_has_the_columns_of_the_query():
    (output,) = [
        each for each in of_type(resources("prod"), "outputs") if each.name.endswith("/windows")
    ]
    name = output.body["properties"]["datasource"]["properties"]["table"]
    table = re.search(rf"CREATE TABLE dbo\.{name} \((.+?)\n\);", README, re.DOTALL)[1]
    columns = re.findall(r"^    ([a-z_]+) \w+", table, re.MULTILINE)
    query = (INFRA / "stream_analytics/sensor_windows.asaql").read_text()
    selected = re.search(r"\)\n\nSELECT\n(.+?)\nINTO windows", query, re.DOTALL)[1]
    wanted = [line.rstrip(",").split()[-1] for line in selected.splitlines()]
    assert columns == wanted
