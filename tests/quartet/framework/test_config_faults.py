"""A fault of the configuration is reported in one line with its file, and key or line."""

from types import SimpleNamespace

import pytest
from kedro.framework.project import settings

from kedro_cloud.core.errors import describe, is_user_error
from quartet.framework.hooks import PreflightHooks
from support import bootstrap

bootstrap()
KEYS = ("globals", "parameters", "catalog", "credentials", "mlflow")
UNKNOWN = "there is no entry 'nothing'; check its spelling"
BASE = {
    "globals.yml": "raw: data",
    "parameters.yml": "seed: 1",
    "faq/parameters.yml": "faq: {seed: '${seed}'}",
    "catalog.yml": "questions: {type: json.JSONDataset, filepath: '${globals:raw}/a.json'}",
    "credentials.yml": "database: {user: a}",
    "mlflow.yml": "server: {mlflow_tracking_uri: null}",
}


@pytest.fixture
def conf(tmp_path):
    """A configuration in a folder that is not a project."""
    for name, text in BASE.items():
        path = tmp_path / "conf/base" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "conf/local").mkdir()
    return tmp_path / "conf"


def read(conf, monkeypatch):
    """Read the configuration as a run does until its first node."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(conf.parent)
    loader = settings.CONFIG_LOADER_CLASS(str(conf), env="local", **settings.CONFIG_LOADER_ARGS)
    for key in KEYS:
        _ = loader[key]
    context = SimpleNamespace(config_loader=loader, project_path=conf.parent)
    PreflightHooks().after_context_created(context)


@pytest.mark.parametrize(
    ("name", "text", "where", "what"),
    [
        ("parameters.yml", "a: 1\nb: 2\na: 3\n", ", line 3", "key 'a' appears twice"),
        ("parameters.yaml", "a:\n  b: 1\n  b: 2\n", ", line 3", "key 'b' appears twice"),
        ("parameters.yml", "a: 1\nb: !mine 2\n", ", line 2", "'!mine'); write plain values"),
        ("globals.yml", "raw: !!python/name:os.system\n", ", line 1", "without tags"),
        ("parameters.yml", "a: !!int x\n", "", "a value does not match its tag"),
        ("parameters.yml", "a: !!timestamp x\n", "", "a value does not match its tag"),
        ("parameters.yml", "a: !!bool x\n", "", "a value does not match its tag"),
        ("parameters.yml", "a: 1\n---\nb: 2\n", ", line 2", "expected a single document in"),
        ("catalog.yml", "a: {b: '${globals:raw'}\n", "", "; close each ${ with }"),
        ("parameters.yml", f"a: {'[' * 2000}{']' * 2000}\n", "", "nested too deeply; use fewer"),
        ("parameters.yml", "~: 1\n", "", "Incompatible key type 'NoneType'"),
        ("parameters.yml", "a: !!set {b, c}\n", "", "a: Value 'set' is not a supported"),
        ("parameters.yml", "a: 1\nb: \0 3\n", ", line 2", "character #x0000 is not allowed"),
        ("parameters.yml", "a: 1\nb: ${nothing}\n", ", line 2", f"b: {UNKNOWN}"),
        (
            "parameters.yml",
            "#${nothing}\na: {b: ['${nothing}']}",
            ", line 2",
            f"a.b[0]: {UNKNOWN}",
        ),
        ("parameters.json", '{"a": {"b": "${nothing}"}}', ", line 1", f"a.b: {UNKNOWN}"),
        ("catalog.yml", "a: {filepath: '${globals:b}/c'}", ", line 1", "globals.yml has no entry"),
        ("catalog.yml", "a: &a {b: '${c:}'}\nd: {<<: *a}", ", line 1", "a.b: Unsupported interpol"),
        ("mlflow.yml", "server: {mlflow_traking_uri: x}", "", "server.mlflow_traking_uri is not a"),
        ("mlflow.yml", "sever: {}", "", "sever is not a setting"),
        ("mlflow.yml", "1: 2", "", "key 1 is not text; write it in quotes"),
        ("globals.yml", "raw: data\n1: x", "", "key 1 is not text; write it in quotes"),
        ("mlflow.yml", "server: {mlflow_tracking_uri: 3}", "", "server.mlflow_tracking_uri should"),
        ("mlflow.yml", "ui: {port: [3]}", "", "ui.port should be a valid string (given: [3])"),
    ],
)
def test_the_file_is_named(conf, monkeypatch, name, text, where, what):
    path = conf / "local" / name
    path.write_text(text)
    with pytest.raises(Exception) as raised:
        read(conf, monkeypatch)
    assert is_user_error(raised.value)
    message = describe(raised.value)
    assert message.startswith(f"{path}{where}: ")
    assert ": : " not in message
    assert what in message
    assert "\n" not in message


def test_a_folder_in_the_place_of_a_file_is_named_before_what_it_lacks(conf, monkeypatch):
    (conf / "base/globals.yml").unlink()
    (conf / "base/globals.yml").mkdir()
    with pytest.raises(ValueError, match=r"globals\.yml: is a folder, expected a YAML file"):
        read(conf, monkeypatch)


def test_a_copied_reference_is_found_in_the_copy(conf, monkeypatch):
    """Kedro resolves each environment by itself, so `${seed}` is unknown in another one."""
    (conf / "local/parameters.yml").write_text((conf / "base/faq/parameters.yml").read_text())
    with pytest.raises(ValueError, match="key 'seed' not found") as raised:
        read(conf, monkeypatch)
    assert str(raised.value).startswith(f"{conf}/local/parameters.yml, line 1: ")


def test_settings_of_two_files_are_named_with_both(conf, monkeypatch):
    for folder, text in (("base", "sever: {}"), ("local", "u: {}")):
        (conf / folder / "mlflow_mine.yml").write_text(text)
    with pytest.raises(ValueError, match="sever is not a setting; u is not a") as raised:
        read(conf, monkeypatch)
    assert f"{conf}/base/mlflow_mine.yml and {conf}/local/mlflow_mine.yml: " in str(raised.value)


def test_valid_configuration_passes(conf, monkeypatch):
    read(conf, monkeypatch)


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ({"parameters.yml": "a:\n\tb: 1\n"}, "parameters.yml, line 2: invalid YAML"),
        ({"parameters.yml": "a: 1", "parameters_b.yml": "a: 2"}, "Duplicate keys found in "),
    ],
)
def test_files_that_kedro_does_not_read_are_not_blamed(conf, monkeypatch, texts, what):
    for name, text in {"devices.yml": "- pump\n", **texts}.items():
        (conf / "local" / name).write_text(text)
    with pytest.raises(Exception) as raised:
        read(conf, monkeypatch)
    message = describe(raised.value)
    assert what in message
    assert "devices.yml" not in message


def test_an_environment_changes_only_the_tracking_settings_that_it_names(conf, monkeypatch):
    """Without the server of `base`, MLflow would look for a folder that it no longer supports."""
    (conf / "base/mlflow.yml").write_text("server: {mlflow_tracking_uri: sqlite:///runs.db}")
    (conf / "local/mlflow.yml").write_text("server: {request_header_provider: {pass_context: on}}")
    read(conf, monkeypatch)
    assert (conf.parent / "runs.db").exists()
