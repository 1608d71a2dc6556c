"""The reference documents every file, key and variable that configures a run."""

import ast
import re
from pathlib import Path

import yaml

from docs.pages import DOCS, built, tables
from support import ROOT

VARIABLE = re.compile(
    r"(?:QUARTET|AZURE|AZUREML|AZURITE|APPLICATIONINSIGHTS|KEDRO|MLFLOW|OMP|OMPI|MPI|PMI|PMIX)"
    r"_[A-Z_]+|DEFAULT_IDENTITY_CLIENT_ID|MSI_ENDPOINT|NO_COLOR|PYTHONWARNINGS|TERM"
    r"|DO_NOT_TRACK|SQLITE_TMPDIR|TMPDIR"
)
"""Names of environment variables."""


def variables_of_the_code() -> set[str]:
    """Return the environment variables that are string constants of the source."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")]
    texts = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if VARIABLE.fullmatch(text)}


def variables_of_the_configuration() -> set[str]:
    """Return the environment variables that configuration files read."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "conf").glob("[ab]*/**/*.yml")]
    return {name for text in texts for name in re.findall(r"\$\{(?:oc\.)?env:(\w+)", text)}


def test_reference_describes_every_environment_variable_once(site: Path) -> None:
    known = variables_of_the_code() | variables_of_the_configuration()
    assert known >= {"KEDRO_CLOUD_TRACEBACK", "AZURE_TENANT_ID", "QUARTET_SENSOR_DATABASE"}
    rows = [
        row
        for table in tables(built(site, "cli"))
        if table[0][0] == "Variable"
        for row in table[1:]
    ]
    assert all(row[1] for row in rows)
    documented = [name for row in rows for name in row[0].split(", ")]
    assert sorted(documented) == sorted(known)


def test_the_pattern_matches_every_environment_variable_that_is_read() -> None:
    """Otherwise the test above would not require its documentation."""
    read = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(
            r"(?:environ(?:\.get\(|\.setdefault\(|\[)|getenv\()\"([^\"]+)\"",
            path.read_text(encoding="utf-8"),
        )
    }
    assert "KEDRO_ENV" in read
    assert read - {"PATH"} <= variables_of_the_code()


def test_reference_documents_every_file_and_key_of_the_configuration() -> None:
    text = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
    for environment in ("base", "azureml"):
        part = text.partition(f"\n## `conf/{environment}`\n")[2].partition("\n## ")[0]
        for path in sorted((ROOT / "conf" / environment).rglob("*.yml")):
            if path.parent.name != environment:
                assert f"`PIPELINE/{path.name}`" in part
                continue
            rows = [row for row in part.splitlines() if row.startswith(f"| `{path.name}` |")]
            assert len(rows) == 1, path
            keys = yaml.safe_load(path.read_text(encoding="utf-8"))
            assert [key for key in keys if f"`{key}`" not in rows[0]] == []
            if path.name in ("azureml.yml", "planning.yml") and environment == "azureml":
                inner = [f"`{key}.{name}`" for key in keys for name in keys[key]]
                assert [name for name in inner if name not in part] == []


def test_reference_documents_every_runtime_parameter(site: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "conf/base").rglob("*.yml")]
    asked = {name for text in texts for name in re.findall(r"runtime_params:([\w.]+)", text)}
    assert "mnist_data" in asked
    table = next(t for t in tables(built(site, "configuration")) if t[0][:2] == ["Name", "Default"])
    assert {row[0] for row in table[1:]} == asked
    documented = {(row[0], row[1]) for row in table[1:]}
    assert documented >= {
        ("mnist_data", "data/01_raw/mnist"),
        ("style_weights", "data/06_models/style/STYLE.safetensors"),
        ("style", "my_style"),
        ("style", "starry_night"),
    }
