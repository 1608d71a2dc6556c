"""A fault must end in one line that says where, what was expected and what to do."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from kedro_cloud.core import errors
from kedro_cloud.core.errors import is_user_error
from quartet import cli


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_where_comes_first_and_the_report_is_one_line():
    error = ValueError("10 images but\n   9 labels")
    error.add_note("node 'pair' (images, labels)")
    assert errors.describe(error) == "node 'pair' (images, labels): 10 images but 9 labels"


def quartets_own():
    from quartet.digits.data import pair_digits

    try:
        pair_digits([1], [], "training")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("make", "mend"),
    [
        (lambda: raised(DatasetError("x")), True),
        (lambda: raised(OSError("x")), True),
        (quartets_own, True),
        (lambda: raised(ValueError("a bug somewhere")), False),
        (lambda: raised(KeyError("a bug somewhere")), False),
    ],
)
def test_only_faults_that_a_user_can_mend_lose_their_traceback(make, mend):
    assert is_user_error(make()) == mend


def test_a_bug_is_not_dressed_up_as_a_users_fault(monkeypatch):
    def broken(**options):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        errors.one_line_errors(broken)()


def test_the_traceback_can_be_had(monkeypatch):
    def failing():
        raise DatasetError("x")

    monkeypatch.setenv(errors.TRACEBACK_VARIABLE, "1")
    with pytest.raises(DatasetError):
        errors.one_line_errors(failing)()


def test_what_lies_on_azure_is_not_fetched_into_a_folder_here(tmp_path, monkeypatch):
    told = {"folder": "abfs://raw/pictures", "mirrors": ["https://example.org"], "sha256": {}}
    monkeypatch.setattr("kedro_cloud.core.config.loader", lambda *_: {"downloads": {"all": told}})
    metadata = SimpleNamespace(project_path=tmp_path)
    result = CliRunner().invoke(cli.fetch, ["all", "-e", "azureml"], obj=metadata)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: downloads.yml: all: folder should be a local folder; fetch without -e, then upload "
        "the files as described in docs/azure.md (given: 'abfs://raw/pictures')\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_kedros_run_options_are_all_there():
    shown = CliRunner().invoke(cli.run, ["--help"]).output
    for option in ("--pipelines", "--params", "--from-nodes", "--only-missing-outputs"):
        assert option in shown
