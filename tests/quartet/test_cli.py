"""User errors end in one line that says where, what was expected and what to do."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from kedro_cloud.core import errors
from kedro_cloud.core.errors import is_user_error
from quartet import cli


def raise_and_catch(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_error_is_one_line_that_begins_with_its_node():
    error = ValueError("10 images but\n   9 labels")
    error.add_note("node 'pair' (images, labels)")
    assert errors.describe(error) == "node 'pair' (images, labels): 10 images but 9 labels"


def make_quartet_error():
    from quartet.digits.data import pair_digits

    try:
        pair_digits([1], [], "training")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("make", "is_user_fault"),
    [
        (lambda: raise_and_catch(DatasetError("x")), True),
        (lambda: raise_and_catch(OSError("x")), True),
        (make_quartet_error, True),
        (lambda: raise_and_catch(ValueError("a bug somewhere")), False),
        (lambda: raise_and_catch(KeyError("a bug somewhere")), False),
    ],
)
def test_only_user_errors_lose_their_traceback(make, is_user_fault):
    assert is_user_error(make()) == is_user_fault


def test_bug_keeps_its_traceback(monkeypatch):
    def broken(**options):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        errors.one_line_errors(broken)()


def test_traceback_can_be_requested(monkeypatch):
    def failing():
        raise DatasetError("x")

    monkeypatch.setenv(errors.TRACEBACK_VARIABLE, "1")
    with pytest.raises(DatasetError):
        errors.one_line_errors(failing)()


def test_fetch_into_remote_storage_is_rejected(tmp_path, monkeypatch):
    entry = {"folder": "abfs://raw/pictures", "mirrors": ["https://example.org"], "sha256": {}}
    monkeypatch.setattr("kedro_cloud.core.config.loader", lambda *_: {"downloads": {"all": entry}})
    metadata = SimpleNamespace(project_path=tmp_path)
    result = CliRunner().invoke(cli.fetch, ["all", "-e", "azureml"], obj=metadata)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: downloads.yml: all: folder should be a local folder; fetch without -e, then upload "
        "the files as described in docs/azure.md (given: 'abfs://raw/pictures')\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_run_has_the_options_of_kedro():
    shown = CliRunner().invoke(cli.run, ["--help"]).output
    for option in ("--pipelines", "--params", "--from-nodes", "--only-missing-outputs"):
        assert option in shown
