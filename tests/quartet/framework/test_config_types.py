"""A list or text where a mapping belongs must be named with its file and key."""

from pathlib import Path

import pytest

from quartet.framework.config_types import check_types
from support import ROOT

BASE = {
    "globals.yml": "raw: data/01_raw\n",
    "credentials.yml": "database: {username: a, password: b}\n",
    "faq/catalog.yml": "_table: &t {type: x}\nquestions: {<<: *t, filepath: q.csv}\n",
    "faq/parameters.yml": "faq:\n  min_text: 10\n  ngrams: [1, 2]\n  trees: {low: 1, high: 2}\n",
    "parameters.yml": "seed: 1\n",
    "mlflow.yml": "server: {mlflow_tracking_uri: null}\n",
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name, text in BASE.items():
        write(tmp_path / "base" / name, text)
    (tmp_path / "local").mkdir()
    return tmp_path


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("parameters.yml", "faq: [1]", "'faq' is a list, expected a mapping of entries"),
        ("parameters.yml", "faq:", "'faq' is nothing, expected a mapping"),
        ("x/parameters.yml", "faq: {trees: [1]}", "'faq.trees' is a list, expected a mapping"),
        ("parameters.yml", "faq: {ngrams: {a: 1}}", "'faq.ngrams' is a mapping, expected values"),
        ("parameters.yml", "[1, 2]", "the file is a list, expected a mapping"),
        ("parameters/mine.yml", "faq: [1]", "'faq' is a list"),
        ("parameters.json", '{"faq": [1]}', "'faq' is a list"),
        ("catalog.yml", "questions: [1]", "'questions' is a list, expected a mapping of a dataset"),
        (
            "catalog.yml",
            "new: q.csv",
            "'new' is text, expected a mapping of a dataset, with `type`",
        ),
        ("credentials.yml", "database: text", "'database' is text, expected a mapping of entr"),
        ("globals.yml", "raw: [a]", "'raw' is a list, expected text"),
        ("mlflow.yml", "server: text", "'server' is text, expected a mapping of entries"),
    ],
)
def test_wrong_type_is_named_with_file_and_key(conf: Path, name, text, message) -> None:
    write(conf / "local" / name, text)
    with pytest.raises(ValueError) as raised:
        check_types(conf, "base", "local")
    assert str(raised.value).startswith(f"{conf}/local/{name}: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parameters.yml", "faq: {trees: 5, ngrams: [3], min_text: 20}\nmine: [1]\nseed: 2\n"),
        ("parameters.yml", "faq: '${other}'\n"),
        ("parameters.yml", "\n# nothing\n"),
        ("parameters.yml", "faq: [1\n"),
        ("parameters.yml", b"faq: caf\xe9\n"),
        ("catalog.yml", "_columns: [a]\nquestions: {type: y}\n"),
        ("credentials.yml", "database: '${env:X}'\nmine: {a: b}\n"),
        ("globals.yml", "raw: elsewhere\nnew: [1]\n"),
        ("downloads.yml", "[1]"),
        ("notes.txt", "faq: [1]"),
    ],
)
def test_other_configuration_passes(conf: Path, name, text) -> None:
    write(conf / "local" / name, text)
    check_types(conf, "base", "local")


@pytest.mark.parametrize("env", ["base", "azureml", "local", "missing"])
def test_configuration_of_the_project_passes(env: str) -> None:
    check_types(ROOT / "conf", "base", env)


def test_shared_parameter_that_others_would_not_get_is_refused(conf):
    write(conf / "base" / "parameters.yml", "seed: 1\nmodel: {seed: '${seed}', size: 3}\n")
    write(conf / "local" / "parameters.yml", "seed: 7\n")
    with pytest.raises(ValueError, match=r"parameters\.yml: 'seed' is 7, .*model\.seed.*--params"):
        check_types(conf, "base", "local")


def test_shared_parameter_of_the_same_value_is_accepted(conf):
    write(conf / "base" / "parameters.yml", "seed: 1\nmodel: {seed: '${seed}', size: 3}\n")
    write(conf / "local" / "parameters.yml", "seed: 1\nmodel: {seed: 4}\n")
    check_types(conf, "base", "local")
